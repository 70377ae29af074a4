"""Conformance, group REL: mails when the mail server, the web server, a worker or the database fails.

Servers and workers are processes of their own, on the database of the test. They retry in split
seconds instead of minutes (`hurried` settings); nothing else about them is different.
"""

import logging
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.compat import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from auth_core import env, policy, testing
from auth_core.accounts import recovery
from auth_core.accounts.adapter import frontend_link
from auth_core.accounts.models import Registration
from auth_core.contract.mail_server import MailServer, free_port
from auth_core.contract.processes import database_url, manage, wait_until
from auth_core.mail import outbox
from auth_core.mail.management.commands.mailworker import Worker, delay_after, take_up_again
from auth_core.mail.purge import KEPT, purge
from auth_core.testing import DELIVERIES, Account, Api, link_secrets, outbox_is, registration

HURRIED = """
from config.settings import *
TASKS["default"]["BACKEND"] = DATABASE_BACKEND
MAIL_RETRY_SECONDS = 0.1
MAIL_RETRY_MAX_SECONDS = 0.5
"""
MAILS_AT_REGISTRATION = policy.REGISTRATION == "open" and policy.EMAIL_VERIFICATION != "none"
IS_PENDING = policy.EMAIL_VERIFICATION == "mandatory"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    # Once is enough: nothing here depends on how tokens travel.
    pytest.mark.parametrize("_delivery", DELIVERIES[policy.TOKEN_DELIVERY][:1], indirect=True),
]


@pytest.fixture(autouse=True)
def _outbox() -> Iterator[None]:
    with outbox_is(django_settings.DATABASE_BACKEND):
        yield


class Processes:
    """Servers and workers of this project, on the test's database, with a mail server at a port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mail_port, self.log = folder, free_port(), folder / "log"
        (folder / "hurried.py").write_text(HURRIED)

    def started(self, *command: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        variables = {
            "PYTHONPATH": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "hurried",
            "DATABASE_URL": database_url(),
            "EMAIL_URL": f"smtp://127.0.0.1:{self.mail_port}",
            "CACHE_URL": "locmem://",
        }
        return manage(self.log, *command, **variables)

    def worker(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return self.started("mailworker", "--interval", "0.1")

    @contextmanager
    def web_server(self, monkeypatch: Any) -> Iterator[subprocess.Popen[bytes]]:
        port = free_port()
        with self.started("runserver", "--noreload", f"127.0.0.1:{port}") as process:
            self.until(lambda: "server at http" in self.log.read_text())
            monkeypatch.setattr(testing, "BASE_URL", f"http://127.0.0.1:{port}")
            yield process
        monkeypatch.setattr(testing, "BASE_URL", "")

    def until(self, condition: Callable[[], Any]) -> None:
        wait_until(condition, self.log)


@pytest.fixture
def processes(tmp_path: Path, transactional_db: None) -> Processes:
    return Processes(tmp_path)


def all_sent() -> bool:
    return not DBTaskResult.objects.exclude(status=TaskResultStatus.SUCCESSFUL).exists()


def failures() -> int:
    return sum(len(row.worker_ids) for row in DBTaskResult.objects.all())


def newcomers(email: str) -> int:
    """Count the registrations and accounts of an address."""
    pending = Registration.objects.filter(email=email, activated_at=None).count()
    return pending + get_user_model().objects.filter(email=email).count()


def cause_mails(api: Api, account: Account, newcomer: dict[str, Any]) -> list[str]:
    """Ask for a reset, and register where that sends a mail; return the recipients to be."""
    assert api.post("rest_password_reset", {"email": account.user.email}).status == 200
    if not MAILS_AT_REGISTRATION:
        return [account.user.email]
    assert api.post("rest_register", newcomer).status == 201
    return sorted([account.user.email, newcomer["email"]])


def test_mails_survive_their_server(api: Api, account: Account, processes: Processes) -> None:
    """REL-03, REG-07: away before, dropping during, back after: quick answers, one user, each mail once."""
    server, newcomer = MailServer(), registration()
    with processes.worker():
        begin = time.monotonic()
        expected = cause_mails(api, account, newcomer)
        # A second try of a client that lost the answer is mailed again, and changes nothing else.
        if MAILS_AT_REGISTRATION:
            again = api.post("rest_register", newcomer)
            assert again.status == (201 if IS_PENDING else 400)
            assert newcomers(newcomer["email"]) == 1
            expected += [newcomer["email"]] if IS_PENDING else []
        assert time.monotonic() - begin < 5
        processes.until(lambda: failures() > len(expected))  # somebody tried a second time
        drops = iter([False] * len(expected))
        server.accepts = lambda: next(drops, True)
        with server.listening(processes.mail_port):
            processes.until(all_sent)
            # Once that is over, mails leave at once again.
            api.post("rest_password_reset", {"email": account.user.email})
            processes.until(all_sent)
    assert server.recipients() == sorted([*expected, account.user.email])
    assert len(server.seen) == len(server.accepted) + len(expected)
    # An attempt that broke off and the next one are the same mail, for whoever got both.
    ids = Counter(str(message["Message-ID"]) for message in server.seen)
    assert sorted(ids.values()) == [1, *[2] * len(expected)]


def test_a_mail_server_that_never_answers(api: Api, account: Account, processes: Processes) -> None:
    """REL-03: nor does a request wait for one that accepts the connection and falls silent."""
    silence, server = Event(), MailServer()
    server.accepts = lambda: silence.wait(30)
    with server.listening(processes.mail_port), processes.worker():
        expected = cause_mails(api, account, registration())
        processes.until(lambda: server.seen)
        begin = time.monotonic()
        cause_mails(api, account, registration())
        assert time.monotonic() - begin < 2
        silence.set()
        processes.until(all_sent)
    assert {*expected} <= {*server.recipients()}


def test_killed_between_commit_and_mail(
    monkeypatch: Any, settings: Any, account: Account, processes: Processes
) -> None:
    """REL-04: kill -9 of the web server, then of a worker that was sending: each mail once, no second user."""
    server, hold, newcomer = MailServer(), Event(), registration()
    with processes.web_server(monkeypatch) as web:
        expected = cause_mails(Api(), account, newcomer)
        web.send_signal(signal.SIGKILL)
    users = get_user_model().objects
    assert newcomers(newcomer["email"]) == MAILS_AT_REGISTRATION
    assert DBTaskResult.objects.filter(status=TaskResultStatus.READY).count() == len(expected)

    server.accepts = lambda: hold.wait(30) and False  # the one mail that is cut off never arrives
    with server.listening(processes.mail_port):
        with processes.worker() as worker:
            processes.until(lambda: server.seen)
            worker.send_signal(signal.SIGKILL)
            worker.wait(10)
        hold.set()
        assert DBTaskResult.objects.running().count() == 1
        server.accepts = lambda: True
        use_mail_server(settings, processes.mail_port)
        settings.MAIL_LEASE_SECONDS = 0
        take_up_again()
        work()  # the next worker
    assert all_sent()
    assert server.recipients() == expected
    assert users.count() == 1 + MAILS_AT_REGISTRATION


def test_a_worker_ends_after_the_current_mail(
    api: Api, account: Account, processes: Processes
) -> None:
    """REL-04: on SIGTERM; what is left stays for the next one."""
    server, hold = MailServer(), Event()
    server.accepts = lambda: hold.wait(30)
    for _ in range(2):
        api.post("rest_password_reset", {"email": account.user.email})
    with server.listening(processes.mail_port), processes.worker() as worker:
        processes.until(lambda: server.seen)
        worker.terminate()
        hold.set()
        assert worker.wait(10) == 0
    states = sorted(DBTaskResult.objects.values_list("status", flat=True))
    assert (len(server.accepted), states) == (1, ["READY", "SUCCESSFUL"])


def test_another_worker_sends_the_mail_of_one_that_was_killed(
    api: Api, account: Account, processes: Processes
) -> None:
    """REL-04: SIGKILL in the middle of a mail: once the lease is over it is sent, as the same mail."""
    server, hold = MailServer(), Event()
    server.accepts = lambda: hold.wait(30) and False
    api.post("rest_password_reset", {"email": account.user.email})
    with server.listening(processes.mail_port):
        with processes.worker() as worker:
            processes.until(lambda: server.seen)
            worker.kill()
            hold.set()
        assert DBTaskResult.objects.get().status == TaskResultStatus.RUNNING
        over = timezone.now() - timedelta(seconds=django_settings.MAIL_LEASE_SECONDS + 1)
        DBTaskResult.objects.update(started_at=over)
        server.accepts = lambda: True
        with processes.worker():
            processes.until(all_sent)
    assert server.recipients() == [account.user.email]
    assert len({str(message["Message-ID"]) for message in server.seen}) == 1


def test_a_worker_outlives_the_database(api: Api, account: Account, processes: Processes) -> None:
    """REL-03: its connections are cut and its table is gone for a while: it waits, and goes on."""
    table, server = DBTaskResult._meta.db_table, MailServer()
    with server.listening(processes.mail_port), processes.worker(), connection.cursor() as cursor:
        api.post("rest_password_reset", {"email": account.user.email})
        processes.until(all_sent)
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
        try:
            if connection.vendor == "postgresql":
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            processes.until(lambda: "The database failed" in processes.log.read_text())
        finally:
            cursor.execute(f"ALTER TABLE away RENAME TO {table}")
        api.post("rest_password_reset", {"email": account.user.email})
        processes.until(all_sent)
    assert server.recipients() == [account.user.email] * 2


# --- In process --------------------------------------------------------------------------------


def work() -> None:
    """Do as a worker does until nothing is due."""
    Worker(
        queue_names=[outbox.QUEUE],
        excluded_queue_names=[],
        interval=0,
        batch=True,
        backend_name="default",
        startup_delay=False,
        max_tasks=None,
        worker_id="test",
    ).run()


def use_mail_server(settings: Any, port: int) -> None:
    entry = env.mailer("EMAIL_URL", f"smtp://127.0.0.1:{port}")
    if hasattr(settings, "MAILERS"):
        settings.MAILERS = {"default": entry}
    else:
        for name, value in env.legacy_mail_settings(entry).items():
            setattr(settings, name, value)


def test_an_outbox_is_part_of_the_transaction(api: Api, account: Account) -> None:
    """REL-04: a task is written with the change it tells of, and holds neither link nor token."""
    answer = api.post("rest_password_reset", {"email": account.user.email})
    row = DBTaskResult.objects.get()
    assert (answer.status, row.status) == (200, TaskResultStatus.READY)
    job, arguments, _language = row.args_kwargs["args"]
    assert (job, arguments) == (
        "auth_core.accounts.recovery.send_reset_mail",
        {"email": account.user.email},
    )
    assert row.run_after.year == 9999  # at once


def test_a_refused_registration_leaves_no_mail(api: Api, account: Account) -> None:
    """REL-04, REG-07: what is rolled back is not mailed."""
    if policy.REGISTRATION == "open":
        assert api.post("rest_register", registration(password2="different")).status == 400
    with transaction.atomic():
        outbox.defer(recovery.send_reset_mail, email=account.user.email)
        assert (
            DBTaskResult.objects.exists()
        )  # now, not after the commit: nobody is killed in between
        transaction.set_rollback(True)
    assert not DBTaskResult.objects.exists()


def test_attempts_are_spread_over_two_days() -> None:
    """REL-03: ten seconds, doubled each time up to an hour."""
    delays = [delay_after(n) for n in range(1, django_settings.MAIL_ATTEMPTS)]
    assert delays[:4] == [timedelta(seconds=s) for s in (10, 20, 40, 80)]
    assert max(delays) == delays[-1] == timedelta(hours=1)
    assert timedelta(hours=46) < sum(delays, timedelta()) < timedelta(hours=50)


def test_a_dead_letter_is_visible(
    api: Api, account: Account, settings: Any, clock: Any, caplog: Any, monkeypatch: Any
) -> None:
    """REL-03: what fails too often stays as failed: in the log and in the admin, without what it carried."""
    use_mail_server(settings, free_port())  # nobody listens
    settings.MAIL_ATTEMPTS = 3
    links = spy(monkeypatch)
    api.post("rest_password_reset", {"email": account.user.email})
    for attempt in (1, 2, 3):
        work()
        row = DBTaskResult.objects.get()
        assert row.status == ("READY" if attempt < 3 else "FAILED")
        work()  # the next attempt is not due yet
        assert len(DBTaskResult.objects.get().worker_ids) == len(links) == attempt
        clock.shift(11 * attempt)
    assert row.return_value is None
    admin = admin_of(row)
    for text in (row.traceback, str(row.args_kwargs), caplog.text, admin):
        assert not [link for link in links if link in text or link.rpartition("=")[2] in text]
    for text in (row.traceback, caplog.text, admin):
        assert "ConnectionRefusedError" in text
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "failed for good, attempt 3 of 3" in "".join(record.getMessage() for record in errors)


def spy(monkeypatch: Any) -> list[str]:
    """Collect the links that are made for mails."""
    links: list[str] = []

    def make(page: str, **secrets: str) -> str:
        links.append(frontend_link(page, **secrets))
        return links[-1]

    monkeypatch.setattr("auth_core.accounts.recovery.frontend_link", make)
    return links


def admin_of(row: DBTaskResult) -> str:
    users = get_user_model().objects
    client = Client()
    client.force_login(users.create_superuser(username="root", email="root@example.com"))
    listed = client.get(
        reverse("admin:django_tasks_database_dbtaskresult_changelist"), {"status": "FAILED"}
    )
    assert str(row.pk) in listed.content.decode()
    page = client.get(reverse("admin:django_tasks_database_dbtaskresult_change", args=[row.pk]))
    return page.content.decode()


def test_a_task_is_taken_up_again_after_the_lease_only(
    api: Api, account: Account, clock: Any, mailbox: list[Any]
) -> None:
    """REL-04: a live worker's mail is left to it."""
    api.post("rest_password_reset", {"email": account.user.email})
    DBTaskResult.objects.get().claim("dead")
    clock.shift(django_settings.MAIL_LEASE_SECONDS - 1)
    take_up_again()
    work()
    assert not mailbox
    clock.shift(2)
    take_up_again()
    work()
    assert link_secrets(mailbox[0])


def test_an_interrupted_attempt_is_no_failure(
    api: Api, account: Account, clock: Any, mailbox: list[Any], monkeypatch: Any
) -> None:
    """REL-04: a second SIGTERM, which ends the current task, too, costs one attempt."""
    api.post("rest_password_reset", {"email": account.user.email})

    def leave(*args: Any) -> None:
        raise SystemExit(1)

    with monkeypatch.context() as patch:
        patch.setattr("auth_core.accounts.recovery.frontend_link", leave)
        work()
    clock.shift(11)
    work()
    assert len(mailbox) == 1


def test_tasks_that_are_done_are_purged(api: Api, account: Account, clock: Any) -> None:
    """Sent or given up, a week later; what is still to be sent stays."""
    for status in ("SUCCESSFUL", "FAILED", "READY"):
        api.post("rest_password_reset", {"email": account.user.email})
        row = DBTaskResult.objects.get(status="READY", finished_at=None)
        DBTaskResult.objects.filter(pk=row.pk).update(status=status, finished_at=timezone.now())
    DBTaskResult.objects.filter(status="READY").update(finished_at=None)
    assert purge(timezone.now()) == 0
    assert purge(timezone.now() + KEPT + timedelta(seconds=1)) == 2
    assert DBTaskResult.objects.get().status == "READY"


def test_no_worker_without_an_outbox() -> None:
    with outbox_is(django_settings.IMMEDIATE_BACKEND), pytest.raises(CommandError):
        call_command("mailworker")
