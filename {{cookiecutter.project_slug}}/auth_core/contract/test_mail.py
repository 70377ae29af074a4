"""What a mail looks like: text and HTML of the same words, in the language of who asked, safe whatever it tells."""

import email
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from auth_core import policy
from auth_core.contract.test_rel_mail import work
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Api,
    link_secrets,
    outbox_is,
    registration,
)

pytestmark = pytest.mark.django_db

EVIL = 'Mozilla/5.0 "><img src=https://evil.example/x.png> <a href="https://evil.example">{{ settings }}'


PLAIN_ATTRIBUTES = {"lang", "dir", "charset", "name", "content", "style", "href"}


class Page(HTMLParser):
    """What a mail program makes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def html_of(message: Any) -> str:
    ((content, kind),) = message.alternatives
    assert kind == "text/html"
    return str(content)


def every_mail(
    api: Api, make_account: Callable[..., Account], mailbox: list[Any], clock: Any
) -> list[Any]:
    """Cause one mail of each kind that this policy knows."""
    account, agent = make_account(), {"User-Agent": EVIL}
    if policy.REGISTRATION == "open":
        api.post("rest_register", registration(), **agent)
        api.post("rest_register", registration(email=account.user.email), **agent)
    api.post("rest_resend_email", {"email": make_account(verified=False).user.email}, **agent)
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    client = account.log_in()
    client.post("rest_password_change", {"old_password": PASSWORD, **new}, **agent)
    api.post("rest_password_reset", {"email": account.user.email}, **agent)
    old = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    api.post("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **old}, **agent)
    client = account.log_in()
    client.refreshed()
    clock.shift(policy.REFRESH_GRACE_SECONDS + 1)
    client.send_refresh()  # a replay
    return mailbox


def test_every_mail(
    api: Api, make_account: Callable[..., Account], mailbox: list[Any], clock: Any, settings: Any
) -> None:
    """Project, what to do, when; the HTML says the same, escaped, and loads nothing from anywhere."""
    settings.FRONTEND_URL = "https://app.example.com/my"
    messages = every_mail(api, make_account, mailbox, clock)
    assert len(messages) >= 5
    for message in messages:
        assert message.subject.startswith(f"[{policy.PROJECT_NAME}] ")
        assert policy.PROJECT_NAME in message.body
        # Django leaves the minutes of a full hour out: "1 p.m.", and "noon".
        assert re.search(r"(\d [ap]\.m\.|noon|midnight) UTC", message.body)
        links = re.findall(r"^https?://\S+$", message.body, re.M)
        # To delete the registration, besides.
        assert len(links) == 1 + ("reject-registration" in message.body)
        assert all(link.startswith("https://app.example.com/my/") for link in links)
        page = Page()
        page.feed(html_of(message))
        assert page.tags == {"html", "head", "meta", "title", "body", "div", "p", "br", "a"}
        assert {name for name, _ in page.attributes} <= PLAIN_ATTRIBUTES
        assert [value for name, value in page.attributes if name == "href"] == links
        assert not [value for name, value in page.attributes if name == "style" and "url" in value]
        seen = "".join(page.text)
        for paragraph in message.body.split("\n\n"):
            for line in paragraph.splitlines():
                assert line in links or line.rstrip(" :") in seen, line


def test_a_notice_says_from_where(account: Account, mailbox: list[Any]) -> None:
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    account.log_in().post(
        "rest_password_change", {"old_password": PASSWORD, **new}, **{"User-Agent": "curl/8"}
    )
    assert "127.0.0.1" in mailbox[-1].body
    assert "curl/8" in mailbox[-1].body


@pytest.mark.parametrize("backend", ["IMMEDIATE_BACKEND", "DATABASE_BACKEND"])
def test_a_mail_speaks_the_language_of_who_asked(
    api: Api, account: Account, mailbox: list[Any], monkeypatch: Any, backend: str
) -> None:
    """Also where a worker, which speaks none in particular, builds it."""
    monkeypatch.setattr(
        "django_tasks_db.management.commands.db_worker.close_old_connections", lambda: None
    )
    with outbox_is(getattr(django_settings, backend)):
        for language in ("de", "fr"):
            body = {"email": account.user.email}
            api.post("rest_password_reset", body, **{"Accept-Language": language})
        work()
    german, french = mailbox
    assert "Passwort" in german.subject
    assert "Passwort zurückzusetzen" in html_of(german)
    assert '<html lang="de"' in html_of(german)
    assert "mot de passe" in french.body


def tags(text: str) -> str:
    """Spell Django's tags, which no Python file of this project may hold."""
    return text.replace("[%", "{" + "%").replace("%]", "%" + "}")


def test_a_team_overrides_text_subject_and_html(
    api: Api, account: Account, mailbox: list[Any], settings: Any, tmp_path: Path
) -> None:
    """By allauth's names under templates/; what extends the template it replaces keeps the rest."""
    folder = tmp_path / "account" / "email"
    folder.mkdir(parents=True)
    name = "password_reset_key"
    (folder / f"{name}_subject.txt").write_text("Ours")
    (folder / f"{name}_message.txt").write_text(
        tags(
            f'[% extends "account/email/{name}_message.txt" %]'
            "[% block content %]{{ block.super }}\n\nBye & see you[% endblock %]"
        )
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    api.post("rest_password_reset", {"email": account.user.email})
    (folder / f"{name}_message.html").write_text("<b>All ours</b>")
    settings.TEMPLATES = [*settings.TEMPLATES]  # forget what was not there
    api.post("rest_password_reset", {"email": account.user.email})
    first, second = mailbox
    assert first.subject == f"[{policy.PROJECT_NAME}] Ours"
    assert "Bye & see you" in first.body
    assert link_secrets(first)
    assert "Bye &amp; see you" in html_of(first)
    assert html_of(second) == "<b>All ours</b>"


def test_no_header_can_be_slipped_in(
    api: Api, account: Account, mailbox: list[Any], settings: Any, tmp_path: Path
) -> None:
    """Line breaks in what a subject shows make no header, and no second recipient."""
    folder = tmp_path / "account" / "email"
    folder.mkdir(parents=True)
    (folder / "password_reset_key_subject.txt").write_text("For {{ user.first_name|safe }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    for evil in (
        "a\r\nBcc: evil@example.com",
        "a\nBcc: evil@example.com",
        "a\u2028Bcc: x",
        "a\x0bb",
    ):
        type(account.user).objects.filter(pk=account.user.pk).update(first_name=evil)
        api.post("rest_password_reset", {"email": account.user.email})
        # As it arrives: a long subject is folded, which makes no header of what follows.
        message = email.message_from_bytes(mailbox[-1].message().as_bytes())
        assert message["Bcc"] is None
        assert message.get_all("To") == [account.user.email]
        assert len(message.get_all("Subject") or []) == 1
    assert len(mailbox) == 4
