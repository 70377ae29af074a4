"""CFG: what is promised of the container, read from the files that build and run it."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.test import RequestFactory

from auth_core.env import BASE_DIR

pytestmark = pytest.mark.inside
# They ship no types; the first one comes with drf-spectacular.
yaml: Any = importlib.import_module("yaml")
WhiteNoiseMiddleware: Any = importlib.import_module("whitenoise.middleware").WhiteNoiseMiddleware


def final_stage() -> list[list[str]]:
    """The instructions of what is shipped, in words; of a long one the first line."""
    lines = (BASE_DIR / "Dockerfile").read_text(encoding="utf-8").splitlines()
    every = [line.split() for line in lines if line[:1].isupper()]
    begins = max(number for number, words in enumerate(every) if words[0] == "FROM")
    return every[begins:]


def pods() -> dict[str, dict[str, Any]]:
    """The pods of the Kubernetes manifests; a team may have others, and then deletes these."""
    found = {}
    for path in sorted((BASE_DIR / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            spec = document.get("spec", {})
            spec = spec.get("jobTemplate", {}).get("spec", spec)
            if template := spec.get("template"):
                found[document["metadata"]["name"]] = template["spec"]
    return found


def test_the_image_holds_what_serves_and_nothing_else() -> None:
    """CFG-09: neither hidden files (.git, .env) nor tests get into it; nothing is installed, so no compiler."""
    ignored = (BASE_DIR / ".dockerignore").read_text(encoding="utf-8").split()
    assert {"**/.*", "var", "**/tests", "**/test_*.py", "auth_core/contract"} <= set(ignored)
    assert not any(line.startswith("!") for line in ignored)
    (base, *instructions) = final_stage()
    assert "-slim" in base[1]
    assert "RUN" not in {words[0] for words in instructions}


def test_static_files_are_served_without_listings(settings: Any, tmp_path: Path) -> None:
    """CFG-09: a file is served, its folder is not; TRACE is HTTP-01's."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.css").write_text("")
    settings.STATIC_ROOT = tmp_path
    settings.WHITENOISE_AUTOREFRESH = False
    served = WhiteNoiseMiddleware(lambda _: HttpResponse(status=404), settings=django_settings)
    for path, status in {"folder/file.css": 200, "folder/": 404, "": 404}.items():
        response = served(RequestFactory().get(f"/static/{path}"))
        response.close()
        assert response.status_code == status, path


def test_the_process_has_no_privileges() -> None:
    """CFG-12: not root, by number; no capabilities, none to gain; a read-only disk; migrations by a role of their own."""
    (user,) = (words[1] for words in final_stage() if words[0] == "USER")
    assert all(int(number) > 0 for number in user.split(":"))
    compose = yaml.safe_load((BASE_DIR / "compose.yaml").read_text(encoding="utf-8"))
    ours = [each for each in compose["services"].values() if "build" in each]
    assert ours
    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            # Values of secrets are named, never written down.
            assert "env" not in container, name
            last = container["envFrom"][-1]["secretRef"]["name"]
            assert last == ("migrate" if name == "migrate" else "secrets"), name
