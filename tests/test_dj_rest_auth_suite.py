"""dj-rest-auth's own test cases, from the installed package, against rendered projects.

Each passes, or stands in DIFFERENCES below the row of the render's docs/contract.md that says why.
dj_rest_auth_cases.py says what is translated between the suite and a project.
"""

import ast
import re
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.project import ROOT, Answers, Bake, BakedProject

MODULE = "test_api"
PASSED = "passed"
NOT_RUN = ""

# A row of docs/contract.md, and the cases that differ for its reason: how each ends, or NOT_RUN
# where the case (or all of a module) asks nothing of a URL of the project, or removes a part of it.
DIFFERENCES = {
    "password/change": {"test_password_change": "400 != 200"},
    "logout": {
        "test_blacklisting": "200 != 401",
        "test_blacklisting_not_installed": "'Successfully logged out.' != 'Neither cookies or",
    },
    "a login without a token, or with `key`": {
        "test_login_with_no_token_model": "200 != 204",
        "test_misconfigured_token_model": NOT_RUN,
    },
    "a Django session": {"test_rest_session_login_sets_session_cookie": "False is not true"},
    "cookies and CSRF tokens": {
        "test_cookie_authentication": "Lists differ: ['jwt-auth'] != []",
        "test_csrf_w_login_csrf_enforcement": "KeyError: 'csrftoken'",
        "test_csrf_w_login_csrf_enforcement_2": "KeyError: 'csrftoken'",
        "test_csrf_wo_login_csrf_enforcement": "KeyError: 'csrftoken'",
        "test_custom_jwt_claims_cookie_w_authentication": "Lists differ: ['jwt-auth'] != []",
        "test_custom_token_refresh_view": "'xxx' not found in",
        "test_custom_token_refresh_view_with_http_only_cookie_and_refresh_token_rotation": (
            "KeyError: 'refresh-xxx'"
        ),
        "test_login_jwt_sets_cookie": "False is not true",
        "test_logout_jwt_deletes_cookie": "'NoneType' object has no attribute 'value'",
        "test_logout_jwt_deletes_cookie_refresh": "'NoneType' object has no attribute 'value'",
        "test_refresh_cookie_name": "'xxx' not found in",
        "test_wo_csrf_enforcement": "False is not true",
    },
    "registration, verification mandatory": {
        "test_registration_with_email_verification": "None != 'person'"
    },
    "claims of one's own": {"test_custom_jwt_claims": "Signature verification failed"},
    "without django-allauth": {"test_password_reset_no_allauth": NOT_RUN},
    "its own views and serializers": {
        "test_registration_allowed_with_custom_no_password_serializer": NOT_RUN,
        "test_registration_with_custom_permission_class": NOT_RUN,
        "test_serializers": NOT_RUN,
        "test_utils": NOT_RUN,
    },
    "social accounts": {"test_social": NOT_RUN},
    "a second factor": {"test_mfa": NOT_RUN},
}

# What a case sets by settings of dj-rest-auth and allauth, a project is told by its answers.
USUAL: Answers = {"auth_header_type": "JWT", "login_with": "username"}
USUAL |= {"email_verification": "optional"}
ANSWERS: dict[str, Answers] = {
    "test_allauth_login_with_email": {"login_with": "email"},
    "test_allauth_login_with_email_deprecated_setting": {"login_with": "email"},
    "test_login_failed_email_validation": {"login_with": "email"},
    "test_login_failed_email_validation_deprecated_setting": {"login_with": "email"},
    "test_login_by_email": {"login_with": "username_or_email"},
    "test_login_failed_username_email_validation": {"login_with": "username_or_email"},
    "test_login_failed_username_email_validation_deprecated_setting": {
        "login_with": "username_or_email"
    },
    "test_registration_with_email_verification": {"email_verification": "mandatory"},
}
LISTED = {case: end for cases in DIFFERENCES.values() for case, end in cases.items()}


@pytest.mark.slow
def test_each_case_passes_or_differs_as_listed(
    bake: Bake, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = cases(home)
    assert LISTED.keys() | ANSWERS.keys() <= set(suite), "no case of the suite"
    asking = [case for case in suite if LISTED.get(case) != NOT_RUN]
    ended: dict[str, str] = {}
    for answers in ({}, *{str(given): given for given in ANSWERS.values()}.values()):
        chosen = [case for case in asking if ANSWERS.get(case, {}) == answers]
        ended |= run(bake(**(USUAL | answers)), home, chosen)
    assert sorted(ended) == sorted(asking)
    others = {case: end for case, end in ended.items() if not is_expected(case, end)}
    assert others == {}
    passed = [case for case, end in ended.items() if end == PASSED]
    with capsys.disabled():
        print(
            f"\ndj-rest-auth's own cases: {len(passed)} pass, {len(asking) - len(passed)} differ, "
            f"{sum(suite.values()) - len(asking)} are out of scope"
        )


def cases(home: Path) -> Counter[str]:
    """Count the cases of the installed suite, by what DIFFERENCES calls them."""
    (folder,) = home.glob("lib/python*/site-packages/dj_rest_auth/tests")
    found: Counter[str] = Counter()
    for file in folder.glob("test_*.py"):
        nodes = ast.walk(ast.parse(file.read_text("utf-8")))
        names = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
        tests = [name for name in names if name.startswith("test_")]
        found.update(tests if file.stem == MODULE else {file.stem: len(tests)})
    return found


def run(project: BakedProject, home: Path, chosen: list[str]) -> dict[str, str]:
    """Run cases in a project; tell how each ended."""
    project.make(".env", home)
    shutil.copy(ROOT / "tests" / "dj_rest_auth_cases.py", project.path)
    options = ["--noconftest", "-W", "default", "--junitxml=cases.xml"]
    nodes = [f"dj_rest_auth_cases.py::Cases::{case}" for case in chosen]
    project.run(home / "bin" / "python", "-m", "pytest", *options, *nodes, check=False)
    ended = {}
    for case in ElementTree.parse(project.path / "cases.xml").iter("testcase"):  # noqa: S314 (ours)
        faults = [child.get("message", "") for child in case if child.tag in ("failure", "error")]
        ended[case.attrib["name"]] = "; ".join(faults) if faults else PASSED
    return ended


def is_expected(case: str, end: str) -> bool:
    return LISTED[case] in end if case in LISTED else end == PASSED


MANDATORY: Answers = {"email_verification": "mandatory"}


@pytest.mark.parametrize("answers", [USUAL | MANDATORY, {"token_delivery": "cookie"}])
def test_each_difference_is_in_the_contract(answers: Answers, bake: Bake) -> None:
    rows = re.findall(r"^\| (.*?) \|", bake(**answers).read("docs/contract.md"), re.MULTILINE)
    assert DIFFERENCES.keys() - set(rows) == set()
