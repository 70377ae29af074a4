"""LOG: the audit trail and the log. What is recorded, how a line looks, who cannot change it.

Secrets are looked for in test_log_secrets.py.
"""

import io
import json
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import IntegrityError, NotSupportedError, connection, transaction
from django.test import Client, TestCase
from django.urls import path, reverse
from django.utils import timezone
from gunicorn.config import Config
from rest_framework.exceptions import PermissionDenied, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auth_core import policy
from auth_core.audit.lines import JsonFormatter, RequestFields, TextFormatter
from auth_core.audit.log import FAILURES, Event, pseudonym, record
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.contract.processes import PRODUCTION, gunicorn, request, run, send
from auth_core.env import BASE_DIR
from auth_core.http.access_log import AccessLog
from auth_core.sessions.models import AuthSession
from auth_core.testing import OTHER_PASSWORD, PASSWORD, Account, Api, link_secrets, registration
from config.urls import urlpatterns as project_urlpatterns

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

REQUEST_ID = "one-request-of-many"
AGENT = "agent/1.0"
HEADERS = {"X-Request-ID": REQUEST_ID, "User-Agent": AGENT}
NEW_PASSWORD = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}

Line = dict[str, Any]


class Throttling(APIView):
    """Stands for whatever limits how often."""

    permission_classes = (AllowAny,)
    authentication_classes = ()

    def get(self, request: Request) -> Response:
        raise Throttled(wait=7)


class Forbidding(Throttling):
    """Stands for whatever a user may not do."""

    def get(self, request: Request) -> Response:
        raise PermissionDenied


# For tests that name this module as their URLconf.
urlpatterns = [
    path("throttled/", Throttling.as_view()),
    path("forbidden/", Forbidding.as_view()),
    *project_urlpatterns,
]


@contextmanager
def captured(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """Whatever any logger says, written as the console handler of the settings writes it."""
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(RequestFields())
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler.stream
    root.removeHandler(handler)


@pytest.fixture
def log() -> Iterator[Callable[[], list[Line]]]:
    with captured(JsonFormatter()) as stream:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


# --- Events ---------------------------------------------------------------------------------


@dataclass
class Scene:
    """Who takes part in what is to be recorded."""

    account: Account
    make_account: Callable[..., Account]
    mailbox: list[Any]
    clock: Any

    def client(self) -> Api:
        return replace(self.account.log_in(), headers=HEADERS)

    def admin(self, password: str = PASSWORD) -> tuple[Client, Any]:
        """A browser at the admin's form, and what it says there."""
        users = get_user_model().objects
        root = users.filter(is_superuser=True).first() or users.create_superuser(
            username="root", email="root@example.com", password=PASSWORD
        )
        browser = Client(headers=HEADERS, raise_request_exception=False)
        return browser, {"username": root.get_username(), "password": password}

    def admin_logged_in(self) -> Client:
        browser, form = self.admin()
        assert browser.post(reverse("admin:login"), form).status_code == 302
        return browser


Act = Callable[[], Any]


def submit(browser: Client, page: str, form: Any = None) -> Any:
    """Post a form, and run what waits for the commit that a test's transaction never comes to."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return browser.post(page, form)


def log_in(scene: Scene) -> Act:
    return partial(Api().post, "rest_login", scene.account.credentials, **HEADERS)


def log_in_wrongly(scene: Scene) -> Act:
    body = {**scene.account.credentials, "password": "wrong"}
    return partial(Api().post, "rest_login", body, **HEADERS)


def log_in_unverified(scene: Scene) -> Act:
    scene.account = scene.make_account(verified=False)
    return log_in(scene)


def log_out(scene: Scene) -> Act:
    return partial(scene.client().post, "rest_logout")


def log_out_everywhere(scene: Scene) -> Act:
    return partial(scene.client().post, "logout_all")


def end_a_session(scene: Scene) -> Act:
    scene.account.log_in()
    client = scene.client()
    other = next(it["id"] for it in client.get("session_list").body if not it["current"])
    return partial(client.delete, reverse("session", args=[other]))


def end_other_sessions(scene: Scene) -> Act:
    scene.account.log_in()
    return partial(scene.client().delete, "session_list")


def log_in_once_too_often(scene: Scene) -> Act:
    template = AuthSession.objects.get(pk=scene.client().get("session_list").body[0]["id"])
    for number in range(policy.MAX_SESSIONS_PER_USER - 1):
        template.pk = None
        template.created_at -= timedelta(seconds=number)
        template._state.adding = True
        template.save()
    return log_in(scene)


def replay(scene: Scene) -> Act:
    client = scene.client()
    client.refreshed()
    scene.clock.shift(policy.REFRESH_GRACE_SECONDS + 1)
    return client.send_refresh


def register(scene: Scene) -> Act:
    return partial(Api().post, "rest_register", registration(), **HEADERS)


def verify(scene: Scene) -> Act:
    scene.account = scene.make_account(verified=False)
    Api().post("rest_resend_email", {"email": scene.account.user.email})
    key = link_secrets(scene.mailbox[-1])["key"]
    return partial(Api().post, "rest_verify_email", {"key": key}, **HEADERS)


def ask_for_a_reset(scene: Scene) -> Act:
    body = {"email": scene.account.user.email}
    return partial(Api().post, "rest_password_reset", body, **HEADERS)


def reset(scene: Scene) -> Act:
    Api().post("rest_password_reset", {"email": scene.account.user.email})
    body = {**link_secrets(scene.mailbox[-1]), **NEW_PASSWORD}
    return partial(Api().post, "rest_password_reset_confirm", body, **HEADERS)


def change_password(scene: Scene) -> Act:
    body = {"old_password": PASSWORD, **NEW_PASSWORD}
    return partial(scene.client().post, "rest_password_change", body)


def change_password_wrongly(scene: Scene) -> Act:
    body = {"old_password": "wrong", **NEW_PASSWORD}
    return partial(scene.client().post, "rest_password_change", body)


def admin_log_in(scene: Scene) -> Act:
    browser, form = scene.admin()
    return partial(submit, browser, reverse("admin:login"), form)


def admin_log_in_wrongly(scene: Scene) -> Act:
    browser, form = scene.admin("wrong")
    return partial(submit, browser, reverse("admin:login"), form)


def admin_log_out(scene: Scene) -> Act:
    return partial(submit, scene.admin_logged_in(), reverse("admin:logout"))


def admin_ends_sessions(scene: Scene) -> Act:
    scene.account.log_in()
    body = {
        "action": "end_sessions",
        "_selected_action": list(AuthSession.objects.values_list("pk", flat=True)),
    }
    page = reverse("admin:auth_sessions_authsession_changelist")
    return partial(submit, scene.admin_logged_in(), page, body)


def admin_sets_a_password(scene: Scene) -> Act:
    page = reverse("admin:auth_user_password_change", args=[scene.account.user.pk])
    new = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD, "usable_password": "true"}
    # Whoever has an address is mailed a link instead.
    get_user_model().objects.filter(pk=scene.account.user.pk).update(email=None)
    return partial(submit, scene.admin_logged_in(), page, new)


def admin_deletes(scene: Scene, *others: Account) -> Act:
    chosen = [str(each.user.pk) for each in (scene.account, *others)]
    body = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    return partial(submit, scene.admin_logged_in(), reverse("admin:users_user_changelist"), body)


def admin_deletes_two(scene: Scene) -> Act:
    return admin_deletes(scene, scene.make_account())


@dataclass
class Cause:
    """Something that is recorded: `prepare` returns what does it."""

    event: Event
    prepare: Callable[[Scene], Act]
    reason: str = ""
    # Whether it is known whose account is meant, and who did it: the owner, an administrator, nobody.
    user: bool = True
    actor: str = "owner"
    here: bool = True


ADMIN = bool(django_settings.ADMIN_PATH)
# Every event that is recorded; whoever records another adds what causes it.
CAUSES = [
    Cause(Event.LOGIN_SUCCESS, log_in),
    Cause(Event.LOGIN_FAIL, log_in_wrongly, "invalid_credentials", actor="nobody"),
    Cause(
        Event.LOGIN_FAIL,
        log_in_unverified,
        "email_not_verified",
        actor="nobody",
        here=policy.EMAIL_VERIFICATION == "mandatory",
    ),
    Cause(Event.TOKEN_REVOKED, log_out, "logout"),
    Cause(Event.TOKEN_REVOKED, log_out_everywhere, "logout"),
    Cause(Event.TOKEN_REVOKED, end_a_session, "revoked"),
    Cause(Event.TOKEN_REVOKED, end_other_sessions, "revoked"),
    Cause(Event.TOKEN_REVOKED, log_in_once_too_often, "evicted"),
    Cause(Event.TOKEN_REUSE, replay, actor="nobody"),
    Cause(Event.USER_CREATED, register, user=False, here=policy.REGISTRATION == "open"),
    Cause(Event.EMAIL_VERIFIED, verify),
    Cause(Event.PASSWORD_RESET_REQUESTED, ask_for_a_reset, user=False, actor="nobody"),
    Cause(Event.PASSWORD_RESET, reset),
    Cause(Event.PASSWORD_CHANGE, change_password),
    Cause(Event.PASSWORD_CHANGE_FAIL, change_password_wrongly, "invalid_password"),
    Cause(Event.LOGIN_SUCCESS, admin_log_in, user=False, actor="admin", here=ADMIN),
    Cause(
        Event.LOGIN_FAIL,
        admin_log_in_wrongly,
        "invalid_credentials",
        user=False,
        actor="nobody",
        here=ADMIN,
    ),
    Cause(Event.TOKEN_REVOKED, admin_log_out, "logout", user=False, actor="admin", here=ADMIN),
    Cause(Event.TOKEN_REVOKED, admin_ends_sessions, "admin", user=False, actor="admin", here=ADMIN),
    Cause(Event.ADMIN_ACTION, admin_sets_a_password, actor="admin", here=ADMIN),
    Cause(Event.ADMIN_ACTION, admin_deletes, actor="admin", here=ADMIN),
    Cause(Event.ADMIN_ACTION, admin_deletes_two, actor="admin", here=ADMIN),
]
# Events of a line alone (LOG-04 and below), and those whose tests are with their feature.
LINES = {
    Event.SESSION_RENEWED,
    Event.AUTHZ_FAIL,
    Event.RATE_LIMIT_EXCEEDED,
    Event.INPUT_VALIDATION_FAIL,
}
ELSEWHERE = {
    Event.LOGIN_LOCK,
    Event.LOGIN_SUCCESS_AFTER_FAIL,
    Event.REAUTHENTICATED,
    Event.REAUTHENTICATION_FAIL,
    Event.USER_DELETED,
    Event.USER_EXPORTED,
    Event.EMAIL_CHANGE_REQUESTED,
    Event.EMAIL_CHANGED,
    Event.EMAIL_RESTORED,
    Event.EMAIL_TAKEN,
}
each_cause = pytest.mark.parametrize(
    "cause", [it for it in CAUSES if it.here], ids=lambda it: it.prepare.__name__
)


@pytest.fixture
def scene(
    account: Account, make_account: Callable[..., Account], mailbox: list[Any], clock: Any
) -> Scene:
    return Scene(account, make_account, mailbox, clock)


def test_the_table_of_causes_is_complete() -> None:
    """LOG-01: no event is recorded that the tests do not know."""
    assert {cause.event for cause in CAUSES} | LINES | ELSEWHERE == set(Event)
    assert set(Event) > FAILURES


@each_cause
def test_every_event_tells_who_did_what_from_where(
    cause: Cause, scene: Scene, log: Callable[[], list[Line]]
) -> None:
    """LOG-01: a row and a line with time in UTC, actor, target, address, agent, request, outcome, reason."""
    act = cause.prepare(scene)
    before = timezone.now()
    known = set(AuditEvent.objects.values_list("pk", flat=True))
    act()
    rows = AuditEvent.objects.exclude(pk__in=known).filter(event=cause.event)
    row = rows.order_by("detail__object").first()
    assert row, list(AuditEvent.objects.exclude(pk__in=known))
    assert before <= row.time <= timezone.now()
    assert row.time.tzinfo == UTC
    assert row.outcome == ("failure" if cause.event in FAILURES else "success")
    assert (row.ip, row.user_agent, row.request_id) == ("127.0.0.1", AGENT, REQUEST_ID)
    assert row.detail.get("reason", "") == cause.reason
    owner, root = scene.account.user.pk, get_user_model().objects.filter(is_superuser=True).first()
    if cause.user:
        assert owner in rows.values_list("user_id", flat=True)
    actor = {"owner": owner if cause.user else row.user_id, "nobody": None}
    assert row.actor_id == (root.pk if root and cause.actor == "admin" else actor[cause.actor])
    lines = [it for it in log() if it.get("event") == cause.event]
    line = next(it for it in lines if it["user_id"] == (row.user_id and str(row.user_id)))
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta()
    for name in ("outcome", "actor_id", "session_id", "ip", "user_agent", "request_id"):
        value = getattr(row, name)
        assert line[name] == (value if value is None else str(value))
    assert line.get("reason", "") == cause.reason


@pytest.mark.skipif(not django_settings.ADMIN_PATH, reason="the admin is switched off")
def test_an_act_upon_several_rows_is_several_events(scene: Scene) -> None:
    """LOG-01: Django's admin logs deletions of several at once; each is an event, one alone is one."""
    other = scene.make_account()
    admin_deletes(scene, other)()
    chosen = {scene.account.user.pk, other.user.pk}
    events = AuditEvent.objects.filter(event=Event.ADMIN_ACTION)
    assert {event.user_id for event in events} == chosen
    assert len(events) == 2
    assert not get_user_model().objects.filter(pk__in=chosen).exists()
    scene.account = scene.make_account()
    admin_deletes(scene)()
    assert events.all().count() == 3


@pytest.mark.skipif(not django_settings.ADMIN_PATH, reason="the admin is switched off")
def test_deactivation_ends_sessions_on_the_trail(scene: Scene) -> None:
    """LOG-01: sessions that end with an account are an event of their own."""
    scene.account.log_in()
    user = get_user_model().objects.get(pk=scene.account.user.pk)
    user.is_active = False
    user.save()
    event = AuditEvent.objects.get(event=Event.TOKEN_REVOKED)
    assert (event.user_id, event.detail["reason"]) == (user.pk, "admin")


def test_a_command_s_event_has_no_actor(account: Account) -> None:
    """LOG-01: what is done at the command line is nobody's request."""
    account.log_in()
    call_command("endsessions", all=True, stdout=io.StringIO())
    event = AuditEvent.objects.get(event=Event.TOKEN_REVOKED)
    assert (event.actor_id, event.ip, event.request_id) == (None, None, "")


def test_a_refresh_is_a_line_and_no_row(account: Account, log: Callable[[], list[Line]]) -> None:
    """LOG-01: refreshes are logged, and the trail does not grow with them."""
    client = account.log_in()
    rows = AuditEvent.objects.count()
    replace(client, headers=HEADERS).refreshed()
    line = next(it for it in log() if it.get("event") == Event.SESSION_RENEWED)
    assert (line["outcome"], line["user_id"]) == ("success", str(account.user.pk))
    assert (line["ip"], line["user_agent"], line["request_id"]) == ("127.0.0.1", AGENT, REQUEST_ID)
    assert AuditEvent.objects.count() == rows


def test_what_is_rolled_back_is_not_logged(
    log: Callable[[], list[Line]], django_capture_on_commit_callbacks: Any
) -> None:
    """LOG-01: a line tells of what was committed."""
    with django_capture_on_commit_callbacks(execute=True):
        with transaction.atomic():
            record(Event.LOGIN_SUCCESS)
            transaction.set_rollback(True)
        record(Event.USER_CREATED)
    assert [line["event"] for line in log()] == [Event.USER_CREATED]


# --- Lines ----------------------------------------------------------------------------------

EVIL = 'x\r\n\x1b[2J\x00\x85\u2028{"level": "INFO"}\',\'\\'


def provoke(api: Api, account: Account) -> None:
    """Have hostile text in names, headers and paths logged, by Django and by us."""
    evil = {"User-Agent": EVIL, "X-Forwarded-For": EVIL, "X-Request-ID": EVIL, "Referer": EVIL}
    api.post("rest_login", {**account.credentials, "password": EVIL}, **evil)
    api.post("rest_login", dict.fromkeys(account.credentials, EVIL), **evil)
    api.post("rest_login", account.credentials, **evil)
    api.post("rest_password_reset", {"email": f"{EVIL}@example.com"}, **evil)
    api.get(f"/{'%0d%0a%1b[2J%00%e2%80%a8'}{{}}\"'", **evil)
    api.get("rest_user_details", **{**evil, "Authorization": f"Bearer {EVIL}"})
    api.get("health_live", Host='evil\r\n\x1b[2J"')
    logging.getLogger("team").warning("%s", EVIL)
    try:
        raise ValueError(f"{EVIL}\nINFO auth.audit forged")
    except ValueError:
        logging.getLogger("team").exception("%s", EVIL)


def test_hostile_text_makes_no_second_line(api: Api, account: Account) -> None:
    """LOG-03: line breaks, escapes and quotes in names, agents and paths: one valid JSON line each."""
    records: list[logging.LogRecord] = []

    class Counter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    counter = Counter()
    logging.getLogger().addHandler(counter)
    with captured(JsonFormatter()) as stream:
        provoke(api, account)
    logging.getLogger().removeHandler(counter)
    text = stream.getvalue()
    assert text.isascii()
    assert not any(character < " " for character in text.replace("\n", ""))
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    assert len(lines) == len(records) > 8
    assert {line["level"] for line in lines} <= {"INFO", "WARNING", "ERROR"}
    assert any(EVIL.replace("\0", "") in line.get("user_agent", "") for line in lines)


def test_hostile_text_forges_no_line_for_people(api: Api, account: Account) -> None:
    """LOG-03: in development a line begins with its level, and nothing moves the cursor."""
    with captured(TextFormatter("%(levelname)s %(name)s %(message)s")) as stream:
        provoke(api, account)
    text = stream.getvalue()
    for line in text.splitlines():
        assert line.startswith(("    ", "INFO ", "WARNING ", "ERROR ")), line
        assert not line.startswith("INFO auth.audit forged")
    assert "\x1b" not in text
    assert "forged" in text


def test_a_field_replaces_none_of_the_line_s_own() -> None:
    """LOG-03: nothing that an event tells can change its time, level or logger."""
    line = logging.makeLogRecord({"name": "a", "msg": "b", "audit": {"level": "c", "x": "d"}})
    assert {"logger": "a", "message": "b", "x": "d"}.items() <= json.loads(
        JsonFormatter().format(line)
    ).items()
    assert '"c"' not in JsonFormatter().format(line)


REFUSALS: dict[str, tuple[Callable[[Api], Any], int, Event, str]] = {
    "no token": (lambda api: api.get("session_list"), 401, Event.AUTHZ_FAIL, "not_authenticated"),
    "a bad token": (
        lambda api: api.get(
            "session_list", Authorization=f"{policy.AUTH_HEADER_TYPE} e30.e30.CANARY"
        ),
        401,
        Event.AUTHZ_FAIL,
        "token_not_valid",
    ),
    "forbidden": (lambda api: api.get("/forbidden/"), 403, Event.AUTHZ_FAIL, "permission_denied"),
    "too often": (lambda api: api.get("/throttled/"), 429, Event.RATE_LIMIT_EXCEEDED, "throttled"),
    "a field": (
        lambda api: api.post("rest_password_reset", {"email": "CANARY"}),
        400,
        Event.INPUT_VALIDATION_FAIL,
        "invalid",
    ),
    "no JSON": (
        lambda api: api.request("POST", "rest_password_reset", b"{CANARY"),
        400,
        Event.INPUT_VALIDATION_FAIL,
        "parse_error",
    ),
    "a form": (
        lambda api: api.request("POST", "rest_password_reset", b"x", content_type="text/CANARY"),
        415,
        Event.INPUT_VALIDATION_FAIL,
        "unsupported_media_type",
    ),
    "too large": (
        lambda api: api.request("POST", "rest_password_reset", b"CANARY" * 20_000),
        413,
        Event.INPUT_VALIDATION_FAIL,
        "body_too_large",
    ),
    "a dead link": (
        lambda api: api.post("rest_verify_email", {"key": "CANARY"}),
        400,
        Event.INPUT_VALIDATION_FAIL,
        "invalid_key",
    ),
}


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_one_line_with_its_reason(
    refusal: str, api: Api, log: Callable[[], list[Line]]
) -> None:
    """LOG-04: 401, 403, 429 and what validation refuses: one WARNING, no row, none of the text sent."""
    send_it, status, event, reason = REFUSALS[refusal]
    api.csrf = api.fetch_csrf() if api.by_cookie else None
    api.headers = HEADERS
    answer = send_it(api)
    assert answer.status == status, answer.body
    warnings = [line for line in log() if line["level"] == "WARNING"]
    assert len(warnings) == 1
    line = warnings[0]
    assert (line["event"], line["reason"], line["status"]) == (event, reason, status)
    assert (line["outcome"], line["ip"], line["user_agent"]) == ("failure", "127.0.0.1", AGENT)
    assert line["request_id"] == REQUEST_ID == answer.headers["X-Request-ID"]
    assert {"method", "path"} < line.keys()
    assert "CANARY" not in json.dumps(log())
    if refusal == "a field":
        assert line["fields"] == {"email": ["invalid"]}
    assert not AuditEvent.objects.exists()


def test_plain_http_is_refused_on_the_log(
    api: Api, settings: Any, log: Callable[[], list[Line]]
) -> None:
    """LOG-04: a refusal by a middleware has its reason, too."""
    settings.PRODUCTION = True
    Api(delivery="header").get("session_list")
    assert [line["reason"] for line in log() if line["level"] == "WARNING"] == ["https_required"]


@pytest.mark.skipif(policy.TOKEN_DELIVERY == "header", reason="no cookies by the policy")
def test_a_missing_proof_is_on_the_log(log: Callable[[], list[Line]]) -> None:
    """LOG-04: a forged request to the API, as one line."""
    answer = Api(delivery="cookie", csrf="forged").post("token_refresh")
    assert answer.code == "csrf_failed"
    [line] = [line for line in log() if line["level"] == "WARNING"]
    assert (line["event"], line["reason"]) == (Event.AUTHZ_FAIL, "csrf_failed")


@pytest.mark.skipif(not django_settings.ADMIN_PATH, reason="the admin is switched off")
def test_a_forged_form_is_on_the_log(log: Callable[[], list[Line]]) -> None:
    """LOG-04: a forged form of the admin, as one line."""
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(reverse("admin:login"), {"password": "CANARY"}).status_code == 403
    [line] = [line for line in log() if line["level"] == "WARNING"]
    assert (line["event"], line["reason"]) == (Event.AUTHZ_FAIL, "csrf_failed")
    assert "CANARY" not in json.dumps(line)


# --- Append-only ----------------------------------------------------------------------------


@pytest.fixture
def event(db: Any) -> AuditEvent:
    record(Event.LOGIN_SUCCESS)
    return AuditEvent.objects.get()


CHANGES: list[Callable[[AuditEvent], Any]] = [
    lambda event: event.save(),
    lambda event: event.save(update_fields=["event"]),
    lambda event: event.delete(),
    lambda event: AuditEvent.objects.update(event="x"),
    lambda event: AuditEvent.objects.all().delete(),
    lambda event: AuditEvent.objects.filter(pk=event.pk).delete(),
    lambda event: AuditEvent.objects.bulk_update([event], ["event"]),
    lambda event: AuditEvent.objects.update_or_create(pk=event.pk, defaults={"event": "x"}),
]
# What comes round the methods of the model.
DETOURS: list[Callable[[AuditEvent], Any]] = [
    lambda event: AuditEvent(pk=event.pk, event="x").save(),
    lambda event: AuditEvent.objects.bulk_create(
        [AuditEvent(pk=event.pk, event="x")],
        update_conflicts=True,
        unique_fields=["pk"],
        update_fields=["event"],
    ),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_model_changes_and_deletes_nothing(
    change: Callable[[AuditEvent], Any], event: AuditEvent
) -> None:
    """LOG-05: neither a row nor a query set is updated or deleted."""
    with pytest.raises(NotSupportedError), transaction.atomic():
        change(event)
    assert AuditEvent.objects.get().event == Event.LOGIN_SUCCESS


@pytest.mark.parametrize("statement", ["UPDATE {} SET event = 'x'", "DELETE FROM {}"])
def test_the_database_changes_and_deletes_nothing(statement: str, event: AuditEvent) -> None:
    """LOG-05: statements that come round the model are refused by triggers."""
    table = AuditEvent._meta.db_table
    if connection.vendor == "sqlite" and "DELETE" in statement:
        pytest.skip("the tests empty the table on SQLite; the next test has one of its own")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement.format(table))
    for detour in DETOURS:
        with pytest.raises(IntegrityError), transaction.atomic():
            detour(event)
    assert AuditEvent.objects.get().event == Event.LOGIN_SUCCESS


@pytest.mark.slow
def test_a_migrated_sqlite_file_is_append_only(tmp_path: Path) -> None:
    """LOG-05: after `migrate` any client of the file may add and read, and delete what is old."""
    file = tmp_path / "db.sqlite3"
    environment = {**PRODUCTION, "DJANGO_ENV": "dev", "DATABASE_URL": f"sqlite:///{file}"}
    done = run("manage.py", "migrate", "--verbosity=0", **environment)
    assert done.returncode == 0, done.stderr
    database = sqlite3.connect(file)
    add = "INSERT INTO auth_audit_auditevent (id, time, event, outcome, user_agent, request_id, detail) VALUES "
    for number, days in enumerate([0, policy.AUDIT_RETENTION_DAYS - 2]):
        database.execute(
            f"{add} (?, datetime('now', ?), 'e', 's', '', '', '{{}}')", (number, f"-{days} days")
        )
    forbidden = [
        "UPDATE auth_audit_auditevent SET event = 'x'",
        "DELETE FROM auth_audit_auditevent",
        "DELETE FROM auth_audit_auditevent WHERE id = '1'",
        f"{add.replace('INSERT', 'REPLACE')} ('0', datetime('now'), 'x', 's', '', '', '{{}}')",
    ]
    for statement in forbidden:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    database.execute(
        f"{add} ('2', datetime('now', ?), 'e', 's', '', '', '{{}}')",
        (f"-{policy.AUDIT_RETENTION_DAYS} days",),
    )
    database.execute("DELETE FROM auth_audit_auditevent WHERE id = '2'")
    assert database.execute("SELECT id, event FROM auth_audit_auditevent").fetchall() == [
        ("0", "e"),
        ("1", "e"),
    ]
    database.close()


@pytest.mark.skipif(not django_settings.ADMIN_PATH, reason="the admin is switched off")
def test_the_admin_reads_the_trail_only(scene: Scene, event: AuditEvent) -> None:
    """LOG-05: a superuser can search and read it, and neither add, change nor delete."""
    browser = scene.admin_logged_in()
    scene.account.log_in()
    pages = "admin:auth_audit_auditevent"
    for term in (scene.account.user.email, str(scene.account.user.pk), REQUEST_ID, "none"):
        listed = browser.get(reverse(f"{pages}_changelist"), {"q": term})
        assert listed.status_code == 200
        found = "authn_login_success" in listed.content.decode().partition("<tbody>")[2]
        assert found == (term != "none")
    change = reverse(f"{pages}_change", args=[event.pk])
    assert browser.get(change).status_code == 200
    assert browser.post(change, {"event": "x"}).status_code == 403
    assert browser.get(reverse(f"{pages}_add")).status_code == 403
    assert browser.post(
        reverse(f"{pages}_delete", args=[event.pk]), {"post": "yes"}
    ).status_code in (
        403,
        404,
    )
    body = {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"}
    browser.post(reverse(f"{pages}_changelist"), body)
    assert AuditEvent.objects.filter(pk=event.pk, event=Event.LOGIN_SUCCESS).exists()


def test_the_purge_deletes_what_is_beyond_the_retention(clock: Any) -> None:
    """LOG-05: the database allows it for old rows; a row within the retention stays."""
    now = timezone.now()
    ages = [0, 1, policy.AUDIT_RETENTION_DAYS - 1, policy.AUDIT_RETENTION_DAYS + 1, 10_000]
    for age in ages:
        clock.move_to(now - timedelta(days=age), tick=False)
        record(Event.LOGIN_SUCCESS, age=age)
    clock.move_to(now)
    call_command("purge", stdout=io.StringIO())
    assert sorted(AuditEvent.objects.values_list("detail__age", flat=True)) == ages[:3]


# --- The request and the sinks ---------------------------------------------------------------


def test_every_line_of_a_request_has_its_id(
    account: Account, log: Callable[[], list[Line]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOG-06: ours, Django's and the team's lines alike; the id of the caller, where it is well-formed."""

    def fail(*args: Any, **kwargs: Any) -> None:
        logging.getLogger("team.orders").info("Something of the team's.")
        raise RuntimeError("a defect")

    client = replace(account.log_in(), headers=HEADERS)
    begin = len(log())
    client.get("/nowhere")
    client.get("rest_user_details", Host="evil.example")
    Api().get("session_list", **HEADERS)
    monkeypatch.setattr("auth_core.sessions.services._death", fail)
    client.get("rest_user_details")
    lines = log()[begin:]
    assert {line["request_id"] for line in lines} == {REQUEST_ID}
    loggers = {line["logger"] for line in lines}
    assert {"team.orders", "django.request", "django.security.DisallowedHost"} <= loggers
    logging.getLogger("team").info("Outside of any request.")
    assert "request_id" not in log()[-1]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (REQUEST_ID, True),
        ("a" * 128, True),
        ("", False),
        ("short", False),
        ("a" * 129, False),
        ("with space in it", False),
        ('{"forged": true}', False),
        ("line\nbreak-in-it", False),
        ("ünïcödé-id", False),
    ],
)
def test_the_id_of_a_request_is_kept_where_it_is_well_formed(
    sent: str, kept: bool, log: Callable[[], list[Line]]
) -> None:
    """LOG-06: X-Request-ID in and out."""
    answer = Api(delivery="header").get("/nowhere", **{"X-Request-ID": sent} if sent else {})
    given = answer.headers["X-Request-ID"]
    assert (given == sent) == kept
    assert given == answer.body["request_id"] == log()[-1]["request_id"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A gunicorn in production, and the file of all that it writes."""
    folder = tmp_path_factory.mktemp("served")
    # Nobody has collected the static files here, of which Python would warn.
    variables = {**PRODUCTION, "TRUSTED_PROXIES": "1", "PYTHONWARNINGS": "ignore"}
    with gunicorn(folder, "\nworkers = 1\n", **variables) as port:
        yield port, folder / "gunicorn.log"


@pytest.mark.slow
def test_the_server_writes_lines_like_the_application(served: tuple[int, Path]) -> None:
    """LOG-06, LOG-07: gunicorn's own lines and the requests: JSON in UTC, with the request's id."""
    port, file = served
    https = "X-Forwarded-Proto: https"
    sent = f"X-Request-ID: {REQUEST_ID}"
    send(port, request("GET", reverse("session_list"), b"", https, sent, f"User-Agent: {AGENT}"))
    send(port, b"garbage\r\n\r\n")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"gunicorn.error", "gunicorn.access", "django.request"} <= {it["logger"] for it in lines}
    for line in lines:
        assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta()
    of_request = [line for line in lines if line.get("request_id") == REQUEST_ID]
    assert {line["logger"] for line in of_request} == {"gunicorn.access", "django.request"}
    access = next(line for line in of_request if line["logger"] == "gunicorn.access")
    assert (access["method"], access["path"]) == ("GET", reverse("session_list"))
    assert (access["status"], access["user_agent"]) == (401, AGENT)


@pytest.mark.slow
def test_the_application_writes_to_standard_output_alone() -> None:
    """LOG-07: one sink; no file, no socket, nothing on standard error, but mail where ADMINS are named."""
    program = (
        "import django, logging; django.setup();"
        "[logging.getLogger(name).error('x') for name in ('a', 'django', 'django.server', 'auth.audit')]"
    )
    done = run("-c", program, DJANGO_SETTINGS_MODULE="config.settings", **PRODUCTION)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["logger"] for line in lines] == ["a", "django", "django.server", "auth.audit"]
    assert {datetime.fromisoformat(line["time"]).utcoffset() for line in lines} == {timedelta()}
    handlers = django_settings.LOGGING["handlers"]
    assert {name: handler["class"] for name, handler in handlers.items()} == {
        "console": "logging.StreamHandler",
        "mail_admins": "django.utils.log.AdminEmailHandler",
    }
    assert handlers["console"]["stream"] == "ext://sys.stdout"
    assert (django_settings.TIME_ZONE, django_settings.USE_TZ) == ("UTC", True)


def test_the_server_writes_to_standard_output_alone() -> None:
    """LOG-07: gunicorn would write its errors to standard error."""
    config = Config()
    config.set("accesslog", "-")
    log = AccessLog(config)
    handlers = [
        handler
        for handler in (*log.error_log.handlers, *log.access_log.handlers)
        if hasattr(handler, "_gunicorn")  # the others are pytest's
    ]
    assert [handler.stream for handler in handlers] == [sys.stdout] * 2
    for handler in handlers:
        log.error_log.removeHandler(handler)
        log.access_log.removeHandler(handler)


def test_the_document_names_every_event_field_and_sink() -> None:
    """LOG-07, LOG-01: docs/security.md lists what is logged, of which fields, and where it goes."""
    text = (BASE_DIR / "docs" / "security.md").read_text(encoding="utf-8")
    logs = text.partition("## Logs")[2]
    assert [event for event in Event if f"`{event}`" not in logs] == []
    fields = [field.name for field in AuditEvent._meta.fields if field.name not in ("id", "detail")]
    assert [name for name in fields if f"`{name}`" not in logs] == []
    assert "standard output" in logs


# --- Identifiers ------------------------------------------------------------------------------


def test_a_name_that_nobody_has_is_not_stored(
    account: Account, log: Callable[[], list[Line]]
) -> None:
    """LOG-08: who types a password as the name leaves a keyed hash; of an account, its id."""
    typed = f"hunter2-{PASSWORD}"
    for name in (typed, typed.upper(), *account.credentials.values()):
        body = {**dict.fromkeys(account.credentials, name), "password": "wrong"}
        if policy.LOGIN_WITH == "email" and "@" not in name:
            body["email"] = f"{name.replace(' ', '-')}@example.com"
        Api().post("rest_login", body)
    events = list(AuditEvent.objects.filter(event=Event.LOGIN_FAIL).order_by("time"))
    unknown, again, *known = events
    assert unknown.user_id is None
    assert unknown.detail["identifier"] == again.detail["identifier"]
    assert len(unknown.detail["identifier"]) == 16
    assert known[0].user_id == account.user.pk
    stored = json.dumps(list(AuditEvent.objects.values()), default=str) + json.dumps(log())
    assert "hunter2" not in stored.lower()
    assert account.user.email not in stored


def test_a_pseudonym_needs_the_secret_key(settings: Any) -> None:
    """LOG-08: without it nobody can try passwords against what is stored."""
    before = pseudonym("name")
    assert before == pseudonym(" NAME ") != pseudonym("other")
    settings.SECRET_KEY = "another secret key, as long and as random as it has to be now"
    assert pseudonym("name") != before


# --- A trail that cannot be written -------------------------------------------------------------


@contextmanager
def broken_trail() -> Iterator[None]:
    """Take the table away: what a missing migration, a full disk or a lost right would do."""
    table = AuditEvent._meta.db_table
    connection.cursor().execute(f"ALTER TABLE {table} RENAME TO gone")
    try:
        yield
    finally:
        connection.cursor().execute(f"ALTER TABLE gone RENAME TO {table}")


def state() -> list[Any]:
    """What decides who gets in; Django's own login to the admin has set last_login before."""
    users = get_user_model().objects.order_by("pk").values("pk", "password", "is_active", "email")
    models: list[Any] = [AuthSession, EmailAddress]
    return [list(users), *(list(model.objects.order_by("pk").values()) for model in models)]


@real_transactions
@each_cause
def test_what_cannot_be_recorded_does_not_happen(
    cause: Cause, scene: Scene, settings: Any, log: Callable[[], list[Line]]
) -> None:
    """LOG-09: 503 and an alarm, nothing is changed, nobody gets in; once it is mended it works."""
    settings.DEBUG = False
    act = cause.prepare(scene)
    before = state()
    with broken_trail():
        answer = act()
    status = getattr(answer, "status", None) or answer.status_code
    body = getattr(answer, "body", None) or json.loads(answer.content)
    assert (status, body["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert state() == before
    assert "access" not in body
    alarms = [line for line in log() if line["level"] == "CRITICAL"]
    assert [line["event"] for line in alarms] == [cause.event]
    assert "exception" in alarms[0]
    if cause.prepare is admin_log_in:
        assert django_settings.SESSION_COOKIE_NAME not in answer.cookies
    answer = act()
    status = getattr(answer, "status", None) or answer.status_code
    assert status < 500


@real_transactions
def test_a_refresh_does_not_need_the_trail(account: Account) -> None:
    """LOG-09: it writes no row, so whoever is logged in stays so."""
    client = account.log_in()
    with broken_trail():
        assert client.refreshed().is_alive
