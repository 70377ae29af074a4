"""The pages over HTTP: there, complete, in each language, leading to the API's own paths, and with nothing inline.

What their scripts do is tested in a browser, where the template is.
"""

import gettext
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.test import Client
from django.urls import reverse

from auth_core import policy
from auth_core.accounts.adapter import frontend_link
from auth_core.features.pages.extensions import Extension, extensions
from auth_core.features.pages.urls import PAGES

MAILED = {
    "verify-email": "rest_verify_email",
    "forgot-password": "rest_password_reset",
    "reset-password": "rest_password_reset_confirm",
    "reject-registration": "registration_reject",
    "change-email": "email_change_confirm",
    "restore-email": "email_change_undo",
}
EVERY = sorted([*PAGES, *(where for each in extensions() for where in each.pages)])
LANGUAGES: list[str] = settings.PAGES_LANGUAGES  # type: ignore[misc] # of a feature
PLACES = [
    Path(each.path)
    for each in apps.get_app_configs()
    if isinstance(each, Extension) or each.label == "auth_pages"
]
STATIC = static("")


class Tags(HTMLParser):
    """Keeps the tags of a page with their attributes, and what stands in scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _tag, attributes in self.found if name in attributes]


def page(where: str, language: str = "en") -> tuple[Any, Tags]:
    answer = Client().get(f"/account/{where}", headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer, Tags(answer.content.decode())


@pytest.mark.parametrize(("where", "endpoint"), MAILED.items())
def test_a_mailed_link_leads_to_a_page_that_talks_to_the_api(where: str, endpoint: str) -> None:
    link = frontend_link(where, key="secret")
    assert link.endswith(f"/account/{where}#key=secret")
    assert reverse(endpoint) in page(where)[1].values("data-endpoint")


def test_no_script_nor_style_stands_in_a_page() -> None:
    """CFG-04: and the policy of the answer would refuse one (ASVS 3.4.3)."""
    for where in EVERY:
        answer, tags = page(where)
        policy_sent = answer.headers["Content-Security-Policy"]
        directives = dict(each.strip().partition(" ")[::2] for each in policy_sent.split(";"))
        assert directives["default-src"] == directives["form-action"] == "'none'"
        assert directives["script-src"] == directives["style-src"] == "'self'"
        assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
        assert "unsafe" not in policy_sent
        for tag, attributes in tags.found:
            assert tag != "style"
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
            if tag == "script":
                assert "src" in attributes or attributes["type"] == "application/json"
        for address in [*tags.values("src"), *tags.values("href")]:
            assert address.startswith(("/", "data:,"))


def test_what_a_page_needs_is_served() -> None:
    """Its scripts and styles, and what those import."""
    waiting = {
        it for where in EVERY for name in ("src", "href") for it in page(where)[1].values(name)
    }
    waiting = {it for it in waiting if it.startswith(STATIC)}
    seen: set[str] = set()
    while waiting:
        address = waiting.pop()
        seen.add(address)
        file = finders.find(address.removeprefix(STATIC))
        assert file, address
        imported = re.findall(r'^import .* from "(.+)";$', Path(file).read_text(), re.MULTILINE)
        waiting |= {posixpath.normpath(f"{address}/../{it}") for it in imported} - seen
    assert f"{STATIC}auth_core/client.js" in seen
    assert f"{STATIC}pages/pages.css" in seen


def test_every_input_has_a_label_and_a_place_for_its_errors() -> None:
    for where in EVERY:
        _answer, tags = page(where)
        ids, labelled = tags.values("id"), tags.values("for")
        assert len(ids) == len({*ids})
        for tag, attributes in tags.found:
            if tag == "input" and attributes.get("type") not in ("hidden", "checkbox"):
                assert attributes["id"] in labelled
                assert f"{attributes['id']}-error" in attributes["aria-describedby"].split()
            for name in ("aria-describedby", "aria-labelledby"):
                assert {*attributes.get(name, "").split()} <= {*ids}


def test_a_page_leads_nowhere_else_and_only_shows() -> None:
    """A page neither redirects nor repeats what its address carries, nor takes anything."""
    parameters = dict.fromkeys(("next", "redirect_uri", "callback", "url"), "//evil.example")
    for where in EVERY:
        answer = Client().get(f"/account/{where}", parameters)
        assert answer.status_code == 200
        assert b"evil" not in answer.content
        assert not answer.cookies
        assert Client().post(f"/account/{where}").status_code == 405


def test_registration_has_a_page_where_it_is_open() -> None:
    is_open = policy.REGISTRATION == "open"
    assert (Client().get("/account/register").status_code == 200) == is_open
    assert ("/account/register" in page("login")[1].values("href")) == is_open


def test_scripts_are_told_where_the_api_is() -> None:
    """And read no answer of the project's from anywhere else."""
    html = page("")[0].content.decode()
    for name, address in {
        "base": reverse("rest_login").removesuffix("login/"),
        "refresh": reverse("token_refresh"),
        "delivery": "header" if policy.TOKEN_DELIVERY == "header" else "cookie",
        "scheme": policy.AUTH_HEADER_TYPE,
    }.items():
        assert f'"{name}": "{address}"' in html
    for file in scripts():
        code = re.sub(r"^ *//.*$", "", file.read_text("utf-8"), flags=re.MULTILINE)
        assert "/api/" not in code
        assert "{{" not in code
        assert "innerHTML" not in code


def scripts() -> list[Path]:
    return [file for place in PLACES for file in place.glob("static/pages/*.js")]


# --- Languages -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,en;q=0.5", "de"),
        ("ar-EG", "ar"),
        ("fr", "en"),
        ("fr,ar;q=0.8,en;q=0.5", "ar"),
        ("de;q=nonsense", "en"),
        ("*", "en"),
    ],
)
def test_a_page_is_in_the_best_language_there_is(asked: str, given: str) -> None:
    answer, tags = page("login", asked)
    assert answer.headers["Content-Language"] == given
    assert "Accept-Language" in answer.headers["Vary"]
    html = tags.found[0][1]
    assert html == {"lang": given, "dir": "rtl" if given == "ar" else "ltr"}
    assert ("Log in" in answer.content.decode()) == (given == "en")


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_text_of_the_pages_is_translated(language: str) -> None:
    for place in PLACES:
        texts = {text for file in sources(place) for text in texts_of(file)}
        if not texts:
            continue
        file = place / "locale" / language / "LC_MESSAGES" / "django.mo"
        with file.open("rb") as content:
            catalog: dict[str, str] = gettext.GNUTranslations(content)._catalog  # type: ignore[attr-defined]
        shared = known(language) if place.name == "pages" else {}
        missing = {text for text in texts if not (catalog | shared).get(text)}
        assert missing == set()
        for text in texts & catalog.keys():
            assert placeholders(text) == placeholders(catalog[text])


def known(language: str) -> dict[str, str]:
    """What the pages themselves have translated, for sections of features."""
    (place,) = (each for each in PLACES if each.parent.name == "features")
    with (place / "locale" / language / "LC_MESSAGES" / "django.mo").open("rb") as content:
        catalog: dict[str, str] = gettext.GNUTranslations(content)._catalog  # type: ignore[attr-defined]
    return catalog


def sources(place: Path) -> list[Path]:
    return [*place.glob("templates/pages/*.html"), *place.glob("*.py")]


def texts_of(file: Path) -> list[str]:
    text = file.read_text("utf-8")
    quoted = [*re.findall(r"""(?:[{]% translate |_\(|gettext\()(["'])(.+?)\1""", text)]
    blocks = re.findall(r"[{]% blocktranslate.*?%\}(.*?)[{]% endblocktranslate %\}", text)
    return [it for _quote, it in quoted] + [
        re.sub(r"\{\{ (\w+) \}\}", r"%(\1)s", it) for it in blocks
    ]


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)s|\{\w+\}", text))
