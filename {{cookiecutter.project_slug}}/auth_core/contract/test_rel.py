"""Failures inside one process: the cache away, locks, clocks that differ, migrations under way."""

import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection, models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from auth_core import env, policy
from auth_core.testing import OTHER_PASSWORD, Account, Answer, Api, at_once, link_secrets

pytestmark = pytest.mark.inside

on_postgresql = pytest.mark.skipif(
    "postgresql" not in str(connection.settings_dict["ENGINE"]), reason="asks for PostgreSQL"
)


def assert_unavailable(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "unavailable"), answer.body
    assert int(answer.headers["Retry-After"]) > 0
    assert set(answer.body) == {"detail", "code", "request_id"}


# --- The cache ---------------------------------------------------------------------------------


@pytest.fixture(params=["refuses", "is silent"])
def dead_cache(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    """Have a Redis at a closed port, or behind a port that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if request.param == "refuses":
            listener.close()
            port = 1
        else:
            port = listener.getsockname()[1]
        settings.CACHES = {"default": env.cache("CACHE_URL", f"redis://127.0.0.1:{port}/0")}
        with pytest.raises(Exception, match=r"(?i)error|timeout"):
            cache.get("anything")
        yield


@pytest.mark.slow
@pytest.mark.django_db
def test_sessions_are_validated_without_the_cache(account: Account, dead_cache: None) -> None:
    """REL-02: with Redis down or silent, tokens are issued, honoured, refreshed and ended as ever."""
    client = account.log_in()
    assert client.get("rest_user_details").status == 200
    assert client.get("session_list").status == 200
    client = client.refreshed()
    assert client.is_alive
    assert client.post("logout_all").status == 200
    assert not client.is_alive


# --- Locks, deadlocks, serialization -------------------------------------------------------------


@contextmanager
def in_another_connection() -> Iterator[Callable[[str], None]]:
    """Execute statements in a transaction of somebody else's, which ends with the block."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            yield cursor.execute
    finally:
        other.close()


def quickly(monkeypatch: pytest.MonkeyPatch, **limits: str) -> None:
    """Shorten limits of connections that are opened from now on."""
    given = " ".join(f"-c {name}={value}" for name, value in limits.items())
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "options", given)


def a_reset(account: Account, mailbox: list[Any]) -> dict[str, str]:
    """The body that confirms a reset that was just asked for."""
    answer = Api().post("rest_password_reset", {"email": account.user.email})
    assert answer.status == 200
    passwords = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    return {**link_secrets(mailbox[-1]), **passwords}


LIMITS = [{"lock_timeout": "200ms"}, {"statement_timeout": "200ms"}]


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limits", LIMITS, ids=["lock", "statement"])
def test_what_waits_too_long_is_503(
    limits: dict[str, str], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REL-06: a lock that is not to be had, and a statement that takes too long, are 503; then all is well."""
    client = account.log_in()
    quickly(monkeypatch, **limits)
    with in_another_connection() as execute:
        execute("SELECT 1 FROM auth_sessions_authsession FOR UPDATE")
        (answer,) = at_once(client.send_refresh)
        assert_unavailable(answer)
    assert client.refreshed().is_alive


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_the_limits_are_in_force() -> None:
    """REL-06: each connection has limits for statements, locks, idle transactions and a silent network."""

    def limits() -> list[str]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        with connection.cursor() as cursor:
            cursor.execute(
                ", ".join(f"current_setting('{name}')" for name in names).join(["SELECT ", ""])
            )
            return list(cursor.fetchone() or ())

    (found,) = at_once(limits)
    assert found == [
        f"{env.STATEMENT_SECONDS}s",
        f"{env.LOCK_SECONDS}s",
        f"{env.IDLE_TRANSACTION_SECONDS}s",
    ]


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_idles_is_ended(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REL-06: one that held its locks too long is rolled back by the server: 503."""
    client = account.log_in()
    quickly(monkeypatch, idle_in_transaction_session_timeout="100ms")
    stalled = partial(threading.Event().wait, 0.5)
    with monkeypatch.context() as patch:
        patch.setattr("auth_core.sessions.services._death", lambda *_: stalled() or None)
        (answer,) = at_once(client.send_refresh)
    assert_unavailable(answer)
    assert client.refreshed().is_alive


def test_the_url_overrides_the_limits() -> None:
    """REL-06: what a team writes into DATABASE_URL has the last word; an empty value leaves an option out."""
    if policy.DATABASE != "postgresql":
        pytest.skip("no PostgreSQL by the policy")
    for given in ("-c statement_timeout=1s", ""):
        url = f"postgresql://u:p@db/n?options={given.replace(' ', '%20').replace('=', '%3D')}"
        options = env.database("DATABASE_URL", url)["OPTIONS"]
        assert options["options"] == given
        assert options["connect_timeout"] == env.CONNECT_SECONDS


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_deadlock_is_503(account: Account, mailbox: list[Any]) -> None:
    """REL-07: the database chooses a reset as victim: 503, nothing changed, and the same link works after it."""
    client = account.log_in()
    body = a_reset(account, mailbox)
    with in_another_connection() as execute:
        execute("SELECT 1 FROM auth_sessions_authsession FOR UPDATE")
        confirm = threading.Thread(
            target=lambda: answers.extend(
                at_once(partial(Api().post, "rest_password_reset_confirm", body))
            )
        )
        answers: list[Answer] = []
        confirm.start()
        wait_for_a_waiting_statement()
        # The reset has the user and wants the sessions; now we, who have these, want the user.
        execute("SELECT 1 FROM users_user FOR UPDATE")
        confirm.join(timeout=20)
    assert_unavailable(answers[0])
    assert client.is_alive
    assert Api().post("rest_password_reset_confirm", body).status == 200


def wait_for_a_waiting_statement() -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(200):
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            if (cursor.fetchone() or (0,))[0]:
                return
        threading.Event().wait(0.02)
    raise TimeoutError


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("level", ["REPEATABLE_READ", "SERIALIZABLE"])
def test_a_stricter_isolation_ends_in_no_500(
    level: str, account: Account, mailbox: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """REL-07: under a team's own isolation level, who loses a race gets 503 or a refusal, and the winner wins once."""
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    client = account.log_in()
    body = a_reset(account, mailbox)
    monkeypatch.setitem(
        connection.settings_dict["OPTIONS"], "isolation_level", IsolationLevel[level]
    )
    refreshed = at_once(*[client.send_refresh] * 8)
    assert {answer.status for answer in refreshed} <= {200, 503}
    assert client.with_tokens_of(next(it for it in refreshed if it.status == 200)).is_alive
    client = (
        client.refreshed()
    )  # in the grace: who was told to come again does, with the same token
    confirm = partial(Api().post, "rest_password_reset_confirm", body)
    statuses = [answer.status for answer in at_once(*[confirm] * 8)]
    assert statuses.count(200) == 1
    assert {*statuses} <= {200, 400, 503}
    assert not client.is_alive


@pytest.mark.skipif(connection.vendor != "sqlite", reason="asks for SQLite")
@pytest.mark.django_db(transaction=True)
def test_a_locked_file_is_503(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """REL-07: "database is locked" is 503; then the same token works."""
    client = account.log_in()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.1)
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (answer,) = at_once(client.send_refresh)
        assert_unavailable(answer)
        other.execute("ROLLBACK")
    assert client.refreshed().is_alive


# --- Clocks --------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("difference", [-10, 10])
def test_clocks_may_differ(
    difference: int, account: Account, clock: time_machine.Traveller
) -> None:
    """REL-08: tokens of one node work at another whose clock is ten seconds behind or ahead, and back."""
    client = account.log_in()
    for _ in range(2):
        clock.shift(difference)
        assert client.is_alive
        client = client.refreshed()
        assert client.is_alive
        clock.shift(-difference)
        assert client.is_alive
        client = client.refreshed()
        assert client.is_alive


# --- Migrations ----------------------------------------------------------------------------------

# While a deployment goes on, the old version runs on the new tables.
HARMLESS = (
    operations.CreateModel,
    operations.AddIndex,
    operations.RemoveIndex,
    operations.RenameIndex,
    operations.AlterModelOptions,
    operations.AlterModelManagers,
    operations.RunPython,
)


def breaks_the_old_version(app: str, operation: Operation, before: ProjectState) -> bool:
    """Say whether code that does not know of an operation may fail after it."""
    if isinstance(operation, operations.AddField | operations.AlterField):
        # The old version inserts rows without the field, or with what it was.
        field: Any = operation.field
        may_be_left_out = field.null or field.many_to_many or field.has_db_default()
        if isinstance(operation, operations.AddField):
            return not may_be_left_out
        old: Any = before.models[app, operation.model_name_lower].fields[operation.name]
        became_required = old.null and not may_be_left_out
        became_shorter = (field.max_length or 2**31) < (old.max_length or 2**31)
        became_unique = field.unique and not old.unique
        return type(old) is not type(field) or became_required or became_shorter or became_unique
    return not isinstance(operation, HARMLESS)


def migrations_of_ours() -> list[tuple[str, str]]:
    disk = MigrationLoader(None).disk_migrations.items()
    return sorted(key for key, it in disk if it.__module__.startswith("auth_core."))


def test_no_migration_breaks_the_version_before() -> None:
    """REL-09: old and new version may share the database: nothing is removed, renamed or made required."""
    loader = MigrationLoader(None)
    ours = migrations_of_ours()
    assert ("auth_sessions", "0001_initial") in ours
    for app, name in ours:
        migration = loader.disk_migrations[app, name]
        state = loader.project_state((app, name), at_end=False)
        for operation in migration.operations if not migration.initial else ():
            assert not breaks_the_old_version(app, operation, state), (app, name, operation)
            operation.state_forwards(app, state)


def test_a_breaking_migration_is_found() -> None:
    """REL-09: removals, renames, new required fields, narrowed ones and raw SQL; not what is harmless."""
    state = ProjectState()
    fields = [("id", models.AutoField(primary_key=True)), ("text", models.CharField(max_length=9))]
    operations.CreateModel("Thing", fields).state_forwards("app", state)
    wide = models.CharField(max_length=9, null=True)
    operations.AddField("Thing", "maybe", wide).state_forwards("app", state)
    breaking = [
        operations.RemoveField("Thing", "text"),
        operations.RenameField("Thing", "text", "words"),
        operations.RenameModel("Thing", "Item"),
        operations.DeleteModel("Thing"),
        operations.RunSQL("DROP TABLE app_thing"),
        operations.AddField("Thing", "more", models.IntegerField()),
        operations.AddField("Thing", "more", models.IntegerField(default=1)),
        operations.AlterField("Thing", "maybe", models.CharField(max_length=9)),
        operations.AlterField("Thing", "text", models.CharField(max_length=5)),
        operations.AlterField("Thing", "text", models.IntegerField()),
        operations.AlterField("Thing", "text", models.CharField(max_length=9, unique=True)),
        operations.AddConstraint(
            "Thing", models.UniqueConstraint(fields=["text"], name="one_of_each")
        ),
    ]
    harmless = [
        operations.CreateModel("Other", fields),
        operations.AddField("Thing", "more", models.IntegerField(null=True)),
        operations.AddField("Thing", "more", models.IntegerField(db_default=1)),
        operations.AlterField("Thing", "text", models.CharField(max_length=20)),
        operations.AddIndex("Thing", models.Index(fields=["text"], name="by_text")),
    ]
    assert all(breaks_the_old_version("app", it, state) for it in breaking)
    assert not any(breaks_the_old_version("app", it, state) for it in harmless)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_in_use_is_looked_at_without_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """REL-01: what the server has ended is noticed at once, what was quiet for long is asked."""
    from django.db.backends.postgresql.base import DatabaseWrapper

    asked: list[Any] = []
    is_usable = DatabaseWrapper.is_usable

    def ask(wrapper: Any) -> bool:
        asked.append(wrapper)
        return is_usable(wrapper)

    monkeypatch.setattr(DatabaseWrapper, "is_usable", ask)
    other = connection.copy()
    other.ensure_connection()
    try:
        assert other.is_usable()  # the first time it is asked
        assert other.is_usable()
        assert len(asked) == 1
        monkeypatch.setattr(other, "looked_at", float("-inf"))
        assert other.is_usable()
        assert len(asked) == 2
        with connection.cursor() as cursor:
            pid = other.connection.info.backend_pid
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert not other.is_usable()
    finally:
        other.close()
