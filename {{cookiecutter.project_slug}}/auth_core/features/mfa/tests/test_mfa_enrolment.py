"""MFA: setting a second factor up and removing it, and what is stored of it."""

import base64
import importlib
import logging
from collections.abc import Callable
from functools import partial
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from auth_core import env, policy
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.contract.test_ref import outcome
from auth_core.features.mfa import settings as mfa_settings
from auth_core.features.mfa.encryption import DecryptionError, decrypt, encrypt, key_id
from auth_core.sessions import lookup
from auth_core.sessions.lookup import locked_user
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.testing import Account, Api, at_once

from .testing import PERIOD, App, Enrolled, enrol, verify

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

RECENT = policy.REAUTHENTICATION_MINUTES * 60


def stored(type_: str) -> dict[str, Any]:
    return Authenticator.objects.get(type=type_).data


def confirm(enrolled: Enrolled, client: Api) -> None:
    """Confirm password and code."""
    body = {"password": enrolled.account.password, "code": enrolled.app.code()}
    answer = client.post("reauthenticate", body)
    assert answer.status == 200, answer.body


# --- Setting it up -------------------------------------------------------------------------


def test_a_secret_is_shown_in_three_ways(account: Account) -> None:
    """MFA-08: 160 random bits as text, in a URL and in a picture; each time others, and nothing is stored."""
    client = account.log_in()
    first, second = (client.get("mfa_totp_activate").body for _ in range(2))
    assert len(base64.b32decode(first["secret"])) == 20
    assert first["secret"] != second["secret"]
    url = urlsplit(first["totp_url"])
    assert (url.scheme, url.netloc) == ("otpauth", "totp")
    assert unquote(url.path).endswith(account.user.email or account.user.username)
    query = parse_qs(url.query)
    assert query == {"secret": [first["secret"]], "issuer": [policy.PROJECT_NAME]}
    kind, _, picture = first["qr_code_data_uri"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert b"<svg" in base64.b64decode(picture)
    assert not Authenticator.objects.exists()
    assert client.get("mfa_status").body["mfa_enabled"] is False


def test_enrolment_gives_recovery_codes(enrolled: Enrolled) -> None:
    """MFA-07: ten of 128 bits, shown once."""
    assert len(set(enrolled.recovery_codes)) == 10
    assert {len(code.replace("-", "")) for code in enrolled.recovery_codes} == {26}
    status = enrolled.client.get("mfa_status").body
    assert (status["mfa_enabled"], status["recovery_codes_left"]) == (True, 10)
    assert not any(code in str(status) for code in enrolled.recovery_codes)


@pytest.mark.parametrize("code", ["", "000000", "abc", None, "1" * 65])
def test_a_wrong_code_enables_nothing(code: Any, account: Account, clock: Any) -> None:
    """MFA-09: else who mistyped the secret would be locked out."""
    client = account.log_in()
    token = client.get("mfa_totp_activate").body["activation_token"]
    answer = client.post("mfa_totp_activate", {"activation_token": token, "code": code})
    assert answer.status == 400
    assert isinstance(answer.code, str)
    assert not Authenticator.objects.exists()


def test_an_enrolment_is_its_sessions(account: Account, other_account: Account, clock: Any) -> None:
    """MFA-09: for ten minutes; somebody else's, an old or a forged one is refused."""
    client, other, stranger = account.log_in(), account.log_in(), other_account.log_in()
    begun = client.get("mfa_totp_activate").body
    app, token = App(begun["secret"]), begun["activation_token"]
    for each in (other, stranger):
        answer = each.post("mfa_totp_activate", {"activation_token": token, "code": app.code()})
        assert outcome(answer) == (400, "invalid_enrolment")
    for forged in ("", "x", token[:-4] + "AAA=", "é", encrypt("[]")[::-1]):
        body = {"activation_token": forged, "code": app.code()}
        assert client.post("mfa_totp_activate", body).status == 400
    clock.shift(601)
    client = client.refreshed()
    confirmed = client.post("reauthenticate", {"password": account.password})
    assert confirmed.status == 200
    answer = client.post("mfa_totp_activate", {"activation_token": token, "code": app.code()})
    assert outcome(answer) == (400, "invalid_enrolment")
    assert not Authenticator.objects.exists()


def test_there_is_one_second_factor(enrolled: Enrolled) -> None:
    """MFA-09: a second one is refused, and replaces nothing."""
    before = stored("totp")
    assert outcome(enrolled.client.get("mfa_totp_activate")) == (400, "mfa_enabled")
    assert stored("totp") == before


@real_transactions
def test_parallel_enrolments_make_one(account: Account, clock: Any) -> None:
    """MFA-09: the others are refused, and its recovery codes are good."""
    client = account.log_in()
    begun = [client.get("mfa_totp_activate").body for _ in range(6)]
    bodies = [
        {"activation_token": each["activation_token"], "code": App(each["secret"]).code()}
        for each in begun
    ]
    answers = at_once(*(partial(client.post, "mfa_totp_activate", body) for body in bodies))
    lost = [outcome(answer) for answer in answers if answer.status != 200]
    # One that is read only after the factor is there also finds its session without it.
    assert len(lost) == 5
    assert {*lost} <= {(400, "mfa_enabled"), (403, "mfa_required")}
    (won,) = (answer for answer in answers if answer.status == 200)
    enrolled = Enrolled(account, client, App(""), won.body["recovery_codes"])
    assert verify(enrolled.pending(), enrolled.recovery_codes[0]).status == 200


@real_transactions
def test_no_login_slips_through_while_a_factor_is_enabled(account: Account, clock: Any) -> None:
    """MFA-01: a login with the password alone comes before, and is then ended, or it waits for a code."""
    client = account.log_in()
    begun = client.get("mfa_totp_activate").body
    body = {
        "activation_token": begun["activation_token"],
        "code": App(begun["secret"]).code(),
    }
    enabled, *logins = at_once(
        partial(client.post, "mfa_totp_activate", body),
        *[partial(Api().post, "rest_login", account.credentials)] * 7,
    )
    assert enabled.status == 200
    assert {answer.status for answer in logins} <= {200, 503}
    living = AuthSession.objects.live().filter(user=account.user)
    assert [session.acr for session in living] == ["aal2"]


@pytest.mark.parametrize("end", ["session", "password", "account"])
def test_a_session_that_has_ended_changes_no_factor(
    end: str, account: Account, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MFA-09: also when it ends at this moment, or a thief could lock out the owner who sets a new password."""
    client = account.log_in()
    begun = client.get("mfa_totp_activate").body
    body = {"activation_token": begun["activation_token"], "code": App(begun["secret"]).code()}

    def overtaken(pk: Any) -> Any:
        users = get_user_model().objects.filter(pk=pk)
        if end == "session":
            AuthSession.objects.filter(user=pk).end(RevocationReason.PASSWORD)
        else:
            users.update(**({"password": "x"} if end == "password" else {"is_active": False}))
        return locked_user(pk)

    with monkeypatch.context() as patch:
        patch.setattr(lookup, "locked_user", overtaken)
        answer = client.post("mfa_totp_activate", body)
    assert outcome(answer) == (401, "session_revoked")
    assert not Authenticator.objects.exists()


def test_an_unverified_address_comes_first(account: Account) -> None:
    """MFA-09: its owner could not get in after a password reset."""
    client = account.log_in()
    EmailAddress.objects.filter(user=account.user).update(verified=False)
    assert outcome(client.get("mfa_totp_activate")) == (400, "email_not_verified")


# --- Who may change it ---------------------------------------------------------------------


def test_every_change_needs_a_recent_login(enrolled: Enrolled, clock: Any) -> None:
    """MFA-09: enrol, disable, renew codes: 403 without it; a refresh is none."""
    client = enrolled.client
    clock.shift(RECENT + 1)
    client = client.refreshed()
    for method, name in (
        ("GET", "mfa_totp_activate"),
        ("POST", "mfa_totp_activate"),
        ("POST", "mfa_totp_deactivate"),
        ("POST", "mfa_recovery_codes_regenerate"),
    ):
        answer = client.request(method, name, {} if method == "POST" else None)
        assert outcome(answer) == (403, "reauthentication_required")
        assert Api().request(method, name, {}).status in {401, 403}
    confirm(enrolled, client)
    assert client.post("mfa_recovery_codes_regenerate").status == 200


def test_to_confirm_who_one_is_takes_both_factors(enrolled: Enrolled, clock: Any) -> None:
    """MFA-09: the password alone makes no session recent; codes work once and make wait here, too."""
    client = enrolled.client
    clock.shift(RECENT + 1)
    client = client.refreshed()
    password = {"password": enrolled.account.password}
    assert outcome(client.post("reauthenticate", password)) == (400, "required")
    wrong = {**password, "code": enrolled.app.wrong_code()}
    assert outcome(client.post("reauthenticate", wrong)) == (400, "invalid_code")
    code = enrolled.app.code()
    bad_password = {"password": "not the password", "code": code}
    assert outcome(client.post("reauthenticate", bad_password)) == (400, "invalid_password")
    assert client.get("user_export").status == 403
    assert client.post("reauthenticate", {**password, "code": code}).status == 200
    assert client.get("user_export").status == 200
    assert outcome(client.post("reauthenticate", {**password, "code": code})) == (
        400,
        "invalid_code",
    )
    for _ in range(10):
        client.post("reauthenticate", wrong)
    assert client.post("reauthenticate", wrong).status == 429
    fails = AuditEvent.objects.filter(event="authn_reauthentication_fail")
    assert fails.filter(detail__reason="invalid_code").exists()


def test_to_disable_it_takes_a_code(enrolled: Enrolled, clock: Any) -> None:
    """MFA-09: also for a session that is recent."""
    client = enrolled.client
    used = enrolled.app.code()
    for body, code in (
        ({}, "required"),
        ({"code": enrolled.app.wrong_code()}, "invalid_code"),
        ({"code": used}, "invalid_code"),
        ({"code": "x" * 65}, "max_length"),
    ):
        assert outcome(client.post("mfa_totp_deactivate", body)) == (400, code)
    assert Authenticator.objects.count() == 2
    clock.shift(PERIOD)
    assert client.post("mfa_totp_deactivate", {"code": enrolled.app.code()}).status == 200
    assert not Authenticator.objects.exists()
    assert enrolled.account.log_in().is_alive
    assert outcome(client.post("mfa_totp_deactivate", {"code": "123456"})) == (
        400,
        "mfa_disabled",
    )


def test_new_recovery_codes_end_the_old(enrolled: Enrolled, clock: Any) -> None:
    """MFA-07: and are shown once; without a second factor there are none."""
    codes = enrolled.client.post("mfa_recovery_codes_regenerate").body["codes"]
    assert len(codes) == 10
    assert not {*codes} & {*enrolled.recovery_codes}
    assert verify(enrolled.pending(), enrolled.recovery_codes[0]).status == 400
    assert verify(enrolled.pending(), codes[0]).status == 200


def test_without_a_second_factor_there_are_no_recovery_codes(account: Account) -> None:
    """MFA-07: nor new ones."""
    answer = account.log_in().post("mfa_recovery_codes_regenerate")
    assert outcome(answer) == (400, "mfa_disabled")


Change = Callable[[Enrolled, Any], Any]


def enabling(enrolled: Enrolled, clock: Any) -> None:
    enrol(enrolled.account, enrolled.client)


def disabling(enrolled: Enrolled, clock: Any) -> None:
    clock.shift(PERIOD)
    answer = enrolled.client.post("mfa_totp_deactivate", {"code": enrolled.app.code()})
    assert answer.status == 200


def renewing(enrolled: Enrolled, clock: Any) -> None:
    assert enrolled.client.post("mfa_recovery_codes_regenerate").status == 200


@pytest.mark.parametrize(
    ("change", "event", "words"),
    [
        (enabling, "user_mfa_enabled", "has a second factor now"),
        (disabling, "user_mfa_disabled", "deactivated"),
        (renewing, "user_mfa_recovery_codes_renewed", "recovery codes has been generated"),
    ],
    ids=["enabled", "disabled", "recovery codes renewed"],
)
def test_a_change_ends_the_other_sessions_and_is_told(
    change: Change, event: str, words: str, account: Account, clock: Any, mailbox: list[Any]
) -> None:
    """REV-13: the session that made it stays; user and trail learn of it."""
    client = account.log_in()
    enrolled = Enrolled(account, client, App(""), [])
    if change is not enabling:
        enrolled = enrol(account, client)
    other = enrolled.log_in(clock) if change is not enabling else account.log_in()
    mailbox.clear()
    change(enrolled, clock)
    assert client.is_alive
    assert not other.is_alive
    assert [mail.to for mail in mailbox if words in mail.body] == [[account.user.email]]
    recorded = AuditEvent.objects.filter(event=event).latest("time")
    assert (recorded.user_id, recorded.actor_id) == (account.user.pk, account.user.pk)


# --- What is stored ------------------------------------------------------------------------


def test_nothing_is_stored_that_makes_codes(
    enrolled: Enrolled, caplog: pytest.LogCaptureFixture, clock: Any
) -> None:
    """MFA-07, MFA-08: the secret is encrypted, codes are hashed, and neither they nor tokens are logged."""
    with caplog.at_level(logging.DEBUG):
        enrolled.log_in(clock)
        verify(enrolled.pending(), enrolled.recovery_codes[0])
    rows = str(list(Authenticator.objects.values()))
    events = str(list(AuditEvent.objects.values()))
    secrets = [enrolled.app.secret, *enrolled.recovery_codes]
    secrets += [secret.replace("-", "") for secret in secrets]
    for text in (rows, events, caplog.text):
        assert not [secret for secret in secrets if secret in text]
    assert decrypt(stored("totp")["secret"]) == enrolled.app.secret
    exported = enrolled.client.get("user_export").body["other"]["second_factors"]
    assert [sorted(each) for each in exported] == [["created_at", "last_used_at", "type"]] * 2


def test_keys_are_replaced_and_nobody_notices(
    enrolled: Enrolled, settings: Any, clock: Any
) -> None:
    """CRY-07, MFA-08: Fernet, the key's id beside the text; the first encrypts, all decrypt, a command re-encrypts."""
    old = settings.MFA_ENCRYPTION_KEYS
    assert stored("totp")["secret"].startswith(f"{key_id(old[0])}:")
    new = Fernet.generate_key().decode()
    settings.MFA_ENCRYPTION_KEYS = [new, *old]
    assert enrolled.log_in(clock).is_alive
    assert stored("totp")["secret"].startswith(f"{key_id(old[0])}:")
    out = StringIO()
    call_command("reencryptmfa", stdout=out)
    assert out.getvalue() == "1 secrets encrypted anew.\n"
    assert stored("totp")["secret"].startswith(f"{key_id(new)}:")
    settings.MFA_ENCRYPTION_KEYS = [new]
    assert enrolled.log_in(clock).is_alive
    out = StringIO()
    call_command("reencryptmfa", stdout=out)
    assert out.getvalue() == "0 secrets encrypted anew.\n"


def test_a_lost_key_is_no_defect(enrolled: Enrolled, settings: Any, clock: Any) -> None:
    """CRY-07: codes are refused, recovery codes still work, and the command says what to do."""
    settings.MFA_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    clock.shift(PERIOD)
    assert verify(enrolled.pending(), enrolled.app.code()).status == 400
    assert verify(enrolled.pending(), enrolled.recovery_codes[0]).status == 200
    with pytest.raises(CommandError, match="put the missing key back"):
        call_command("reencryptmfa", stdout=StringIO())


def test_what_was_changed_is_not_decrypted() -> None:
    """CRY-07: encryption is authenticated."""
    text = encrypt("JBSWY3DPEHPK3PXP")
    name, token = text.split(":")
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[20] ^= 1
    for other in (f"{name}:{base64.urlsafe_b64encode(raw).decode()}", token, f"x:{token}", ""):
        with pytest.raises(DecryptionError):
            decrypt(other)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is not set"),
        ("changeme", "is not base64url"),
        ("A" * 43 + "=", "not random"),
        pytest.param(f"{Fernet.generate_key().decode()},short", "is not base64url", id="one good"),
        ("AUTH_SIGNING_KEYS", "is in AUTH_SIGNING_KEYS"),
        ("SECRET_KEY", "is in SECRET_KEY"),
    ],
)
def test_a_weak_key_stops_the_start(
    value: str | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MFA-08: with one line that names the variable and not the key."""
    if value in {"AUTH_SIGNING_KEYS", "SECRET_KEY"}:
        key = Fernet.generate_key().decode()
        monkeypatch.setenv(value, f"HS256:{key.rstrip('=')}")
        value = key
    monkeypatch.setenv("MFA_ENCRYPTION_KEYS", value or "")
    with pytest.raises(env.Misconfigured) as refusal:
        importlib.reload(mfa_settings)
    line = str(refusal.value)
    assert line.startswith("MFA_ENCRYPTION_KEYS: ")
    assert problem in line
    assert "\n" not in line
    assert not value or value not in line


def test_the_settings_of_the_tests_are_sound() -> None:
    """MFA-08: allauth encrypts by this adapter, and has no code that always works."""
    adapter: str = django_settings.MFA_ADAPTER  # type: ignore[misc] # of a feature: mypy reads the kernel's
    assert adapter == "auth_core.features.mfa.adapter.MFAAdapter"
    assert not hasattr(django_settings, "MFA_TOTP_INSECURE_BYPASS_CODE")
