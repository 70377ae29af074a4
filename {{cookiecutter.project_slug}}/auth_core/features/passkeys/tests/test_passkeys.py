"""MFA-12: passkeys, registered, used and removed; and what of an authenticator's answer is not believed."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from fido2 import cbor
from fido2.cose import ES256, ES384, RS256, EdDSA
from fido2.utils import websafe_decode, websafe_encode

from auth_core import policy
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import admin_is_here, real_transactions
from auth_core.contract.test_ref import outcome
from auth_core.features.mfa.tests.testing import App, Enrolled, enrol
from auth_core.features.mfa.tests.testing import verify as verify_code
from auth_core.features.passkeys.ceremonies import purge
from auth_core.features.passkeys.models import Ceremony, Passkey
from auth_core.features.passkeys.webauthn import digest_of
from auth_core.sessions import lookup
from auth_core.sessions.lookup import locked_user
from auth_core.sessions.models import AuthSession, RevocationReason
from auth_core.testing import Account, Api, at_once, claims_of

from .testing import (
    PRESENT,
    VERIFIED,
    Device,
    Holder,
    ceremony,
    equip,
    log_in,
    reauthenticate,
    register,
    verify,
)

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

RECENT = policy.REAUTHENTICATION_MINUTES * 60
BAD = (400, "invalid_passkey")
NO_FLOW = (400, "invalid_flow")
OTHER_ORIGINS = [
    "https://evil.example",
    "http://localhost:1",
    "http://evil.localhost:8000",
    "null",
    "",
]


# --- Having passkeys -----------------------------------------------------------------------


def test_a_passkey_is_registered_named_and_listed(account: Account, clock: Any) -> None:
    """MFA-12: by a session that logged in just now; each has a name of its user's choice."""
    client, device = account.log_in(), Device()
    answer = register(client, device, "Phone")
    assert answer.status == 201, answer.body
    assert set(answer.body) == {"id", "name", "created_at", "last_used_at", "recovery_codes"}
    assert len(answer.body["recovery_codes"]) == 10
    token, options = ceremony(client, "register")
    body = {"flow_token": token, "credential": Device().create(options)}
    second = client.post("passkey_register_complete", body)
    assert (second.body["name"], second.body["recovery_codes"]) == ("Passkey", [])
    listed = client.get("passkey_list").body
    assert [each["name"] for each in listed] == ["Phone", "Passkey"]
    url = reverse("passkey", args=[second.body["id"]])
    assert client.patch(url, {"name": "Key in the safe"}).body["name"] == "Key in the safe"
    for name, code in (("", "blank"), ("x" * 101, "max_length"), (None, "null")):
        assert outcome(client.patch(url, {"name": name})) == (400, code)
    assert outcome(client.patch(url, {})) == (400, "required")
    assert client.get("passkey_list").body[1]["name"] == "Key in the safe"
    assert client.get("mfa_status").body["factors"] == ["webauthn"]


def test_what_a_browser_is_asked_for(holder: Holder) -> None:
    """MFA-12: the device verifies its user, always; 256 random bits; no attestation; no name at a login."""
    _, creation = ceremony(holder.client, "register")
    assert creation["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert creation["attestation"] == "none"
    assert creation["timeout"] == 300_000
    assert [each["alg"] for each in creation["pubKeyCredParams"]] == [-7, -8, -257]
    assert [each["id"] for each in creation["excludeCredentials"]] == [*holder.device.keys]
    assert holder.user.email not in str(websafe_decode(creation["user"]["id"]))
    _, login = ceremony(Api(), "login")
    assert login["rpId"] == creation["rp"]["id"]
    assert not login.get("allowCredentials")
    _, confirmation = ceremony(holder.client, "reauthenticate")
    assert [each["id"] for each in confirmation["allowCredentials"]] == [*holder.device.keys]
    assert {each["userVerification"] for each in (login, confirmation)} == {"required"}
    challenges = [creation["challenge"], login["challenge"], confirmation["challenge"]]
    challenges += [ceremony(Api(), "login")[1]["challenge"] for _ in range(3)]
    assert len(set(challenges)) == 6
    assert {len(websafe_decode(challenge)) for challenge in challenges} == {32}


@pytest.mark.parametrize("algorithm", [ES256.ALGORITHM, EdDSA.ALGORITHM, RS256.ALGORITHM])
def test_each_algorithm_that_is_asked_for_works(
    algorithm: int, account: Account, clock: Any
) -> None:
    """MFA-12: an authenticator chooses one."""
    device = Device()
    assert register(account.log_in(), device, algorithm=algorithm).status == 201
    assert log_in(device).status == 200
    assert outcome(log_in(device, signature=b"\0" * 64)) == BAD


REGISTRATION_LIES = {
    "origin": {"origin": "https://evil.example"},
    "RP ID": {"rp_id": "evil.example"},
    "type": {"type": "webauthn.get"},
    "challenge": {"challenge": b"x" * 32},
    "nobody there": {"flags": VERIFIED},
    "nobody verified": {"flags": PRESENT},
    "in a frame": {"framed": True},
    "algorithm": {"algorithm": ES384.ALGORITHM},
    "long id": {"id": b"x" * 1024},
}


@pytest.mark.parametrize("lies", REGISTRATION_LIES.values(), ids=REGISTRATION_LIES)
def test_a_new_passkey_is_checked(lies: dict[str, Any], account: Account, clock: Any) -> None:
    """MFA-12: origin, RP ID, type, challenge, presence, verification; one answer for all."""
    client = account.log_in()
    assert outcome(register(client, Device(), **lies)) == BAD
    assert not Authenticator.objects.exists()
    assert client.is_alive


def test_a_credential_is_registered_once(holder: Holder, other_account: Account) -> None:
    """MFA-12: by nobody else, and not again."""
    (name,) = holder.device.keys
    for client in (other_account.log_in(), holder.client):
        answer = register(client, Device(), id=websafe_decode(name))
        assert outcome(answer) == BAD
    assert Passkey.objects.count() == 1
    assert not Authenticator.objects.filter(user=other_account.user).exists()


def test_a_user_has_so_many_passkeys(holder: Holder, settings: Any) -> None:
    """MFA-12: no more; one that was begun before, neither."""
    settings.PASSKEYS_PER_USER = 2
    flows = [ceremony(holder.client, "register") for _ in range(2)]
    answers = [
        holder.client.post(
            "passkey_register_complete",
            {"flow_token": token, "credential": Device().create(options)},
        )
        for token, options in flows
    ]
    assert answers[0].status == 201
    full = (400, "too_many_passkeys")
    assert outcome(answers[1]) == full
    assert outcome(holder.client.post("passkey_register_begin")) == full


def test_an_unverified_address_comes_first(account: Account) -> None:
    """MFA-12: its owner could not get in after a password reset."""
    client = account.log_in()
    EmailAddress.objects.filter(user=account.user).update(verified=False)
    refused = (400, "email_not_verified")
    assert outcome(client.post("passkey_register_begin")) == refused


def test_every_change_needs_a_recent_login(holder: Holder, clock: Any) -> None:
    """MFA-12: to add, rename, remove: 403 without it; a refresh is none. The passkey alone confirms."""
    clock.shift(RECENT + 1)
    client = holder.client.refreshed()
    url = reverse("passkey", args=[holder.passkey])
    for method, path, body in (
        ("POST", "passkey_register_begin", {}),
        ("POST", "passkey_register_complete", {}),
        ("PATCH", url, {"name": "x"}),
        ("DELETE", url, None),
    ):
        answer = client.request(method, path, body)
        assert outcome(answer) == (403, "reauthentication_required")
        assert Api().request(method, path, body).status in {401, 403}
    for lies in ({"flags": PRESENT}, {"origin": "https://evil.example"}, {"count": 1}):
        assert outcome(reauthenticate(client, holder.device, **lies)) == BAD
    assert client.get("user_export").status == 403
    assert reauthenticate(client, holder.device).status == 200
    assert client.get("user_export").status == 200
    fails = AuditEvent.objects.filter(event="authn_reauthentication_fail")
    assert fails.filter(detail__reason="invalid_passkey").count() == 3


def test_a_passkey_is_its_users(holder: Holder, make_holder: Callable[..., Holder]) -> None:
    """MFA-12: nobody else lists, renames, removes it, confirms with it, or finishes a login with it."""
    other = make_holder()
    url = reverse("passkey", args=[holder.passkey])
    assert [each["id"] for each in other.client.get("passkey_list").body] == [other.passkey]
    assert other.client.patch(url, {"name": "mine"}).status == 404
    assert other.client.delete(url).status == 404
    (name,) = holder.device.keys
    assert outcome(reauthenticate(other.client, holder.device, name=name)) == BAD
    assert outcome(verify(pending(other), holder.device, name=name)) == BAD
    assert holder.log_in().is_alive


def test_a_session_without_the_factor_changes_none(holder: Holder) -> None:
    """MFA-12: one that does not have it, as after an import, adds and removes none until it is shown."""
    AuthSession.objects.update(amr=["pwd"])
    url = reverse("passkey", args=[holder.passkey])
    refused = (403, "mfa_required")
    assert outcome(holder.client.post("passkey_register_begin")) == refused
    assert outcome(holder.client.get("mfa_totp_activate")) == refused
    assert outcome(holder.client.delete(url)) == refused
    assert reauthenticate(holder.client, holder.device).status == 200
    assert holder.client.post("passkey_register_begin").status == 200
    assert holder.client.delete(url).status == 204


@pytest.mark.parametrize("end", ["session", "password"])
def test_a_session_that_has_ended_adds_no_passkey(
    end: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MFA-12: also when it ends at this moment, or a thief could come back by it."""
    client = account.log_in()

    def overtaken(pk: Any) -> Any:
        if end == "session":
            AuthSession.objects.filter(user=pk).end(RevocationReason.PASSWORD)
        else:
            get_user_model().objects.filter(pk=pk).update(password="x")
        return locked_user(pk)

    with monkeypatch.context() as patch:
        patch.setattr(lookup, "locked_user", overtaken)
        answer = register(client, Device())
    assert outcome(answer) == (401, "session_revoked")
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("change", ["added", "removed"])
def test_a_change_ends_the_other_sessions_and_is_told(
    change: str, holder: Holder, mailbox: list[Any]
) -> None:
    """MFA-12: the session that made it stays; user and trail learn of it."""
    other = holder.log_in()
    mailbox.clear()
    if change == "added":
        assert register(holder.client, Device()).status == 201
    else:
        assert holder.client.delete(reverse("passkey", args=[holder.passkey])).status == 204
    assert holder.client.is_alive
    assert not other.is_alive
    told = [mail for mail in mailbox if f"A passkey was {change}" in mail.body]
    assert [mail.to for mail in told] == [[holder.user.email]]
    recorded = AuditEvent.objects.filter(event=f"user_passkey_{change}").latest("time")
    assert (recorded.user_id, recorded.actor_id) == (holder.user.pk, holder.user.pk)


# --- Logging in with nothing else ----------------------------------------------------------


def test_a_passkey_logs_in_without_a_password(holder: Holder, clock: Any) -> None:
    """MFA-12: no name, no password; it counts as two factors."""
    client = holder.log_in()
    assert client.get("rest_user_details").body["pk"] == str(holder.user.pk)
    for each in (client, client.refreshed()):
        claims = claims_of(each.access)
        assert (claims["acr"], claims["amr"]) == ("aal2", ["pop", "user", "mfa"])
    listed = client.get("passkey_list").body[0]
    assert listed["last_used_at"]
    assert client.get("mfa_status").body["last_used_at"] == listed["last_used_at"]
    event = AuditEvent.objects.filter(event="authn_login_success").latest("time")
    assert event.user_id == holder.user.pk


LOGIN_LIES = {
    "RP ID": {"rp_id": "evil.example"},
    "type": {"type": "webauthn.create"},
    "challenge": {"challenge": b"x" * 32},
    "nobody there": {"flags": VERIFIED},
    "nobody verified": {"flags": PRESENT},
    "in a frame": {"framed": True},
    "no user handle": {"handle": None},
    "another user handle": {"handle": "x"},
    "unknown credential": {"name": "eHg"},
    "signature": {"signature": b"x"},
    **{f"origin {origin}": {"origin": origin} for origin in OTHER_ORIGINS},
}


@pytest.mark.parametrize("lies", LOGIN_LIES.values(), ids=LOGIN_LIES)
def test_an_answer_is_checked(lies: dict[str, Any], holder: Holder) -> None:
    """MFA-12: origin, RP ID, type, challenge, presence, verification, user handle, signature: one answer."""
    (key,) = holder.device.keys.values()
    before = AuthSession.objects.count()
    answer = log_in(holder.device, key=key, **lies)
    assert outcome(answer) == BAD
    assert set(answer.body) == {"code", "codes", "credential", "request_id"}
    assert answer.body["credential"] == ["The passkey was not accepted."]
    assert not answer.cookies
    assert AuthSession.objects.count() == before
    failed = AuditEvent.objects.filter(event="authn_login_fail").latest("time")
    assert failed.detail["reason"] == "invalid_passkey"
    assert holder.log_in().is_alive


def test_a_forged_or_exchanged_key_is_no_use(
    holder: Holder, make_holder: Callable[..., Holder]
) -> None:
    """MFA-12: another user's key signs nothing here, nor does another user's handle."""
    other = make_holder()
    (name,), (handle,) = holder.device.keys, holder.device.handles.values()
    (key,) = other.device.keys.values()
    assert outcome(log_in(holder.device, key=key)) == BAD
    assert outcome(log_in(other.device, handle=handle)) == BAD
    assert outcome(log_in(other.device, name=name, key=key, handle=handle)) == BAD


def test_an_answer_works_once(holder: Holder) -> None:
    """MFA-12: neither in its own flow nor in another, and a flow that failed is gone."""
    token, options = ceremony(Api(), "login")
    body = {"flow_token": token, "credential": holder.device.get(options)}
    assert Api().post("passkey_login_complete", body).status == 200
    assert outcome(Api().post("passkey_login_complete", body)) == NO_FLOW
    other, options = ceremony(Api(), "login")
    answer = Api().post("passkey_login_complete", {**body, "flow_token": other})
    assert outcome(answer) == BAD
    right = {"flow_token": other, "credential": holder.device.get(options)}
    assert outcome(Api().post("passkey_login_complete", right)) == NO_FLOW
    assert not Ceremony.objects.exists()


@real_transactions
def test_one_of_many_parallel_uses_of_an_answer_succeeds(holder: Holder) -> None:
    """MFA-12: whether they race in one flow or bring one count in a flow each."""
    token, options = ceremony(Api(), "login")
    body = {"flow_token": token, "credential": holder.device.get(options)}
    answers = at_once(*[partial(Api().post, "passkey_login_complete", body)] * 8)
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    flows = [ceremony(Api(), "login") for _ in range(6)]
    bodies = [
        {"flow_token": token, "credential": holder.device.get(options, count=1000)}
        for token, options in flows
    ]
    answers = at_once(*(partial(Api().post, "passkey_login_complete", body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 5


def test_a_flow_is_of_its_client_purpose_and_time(
    holder: Holder, make_holder: Callable[..., Holder], clock: Any
) -> None:
    """MFA-12: a token of another purpose, session or login, or an old one, is used up for nothing."""
    device, other = holder.device, make_holder()
    token, options = ceremony(Api(), "login")
    body = {"flow_token": token, "credential": device.get(options)}
    assert outcome(holder.client.post("passkey_reauthenticate_complete", body)) == NO_FLOW
    assert outcome(Api().post("passkey_login_complete", body)) == NO_FLOW
    token, options = ceremony(holder.client, "reauthenticate")
    body = {"flow_token": token, "credential": device.get(options)}
    assert outcome(Api().post("passkey_login_complete", body)) == NO_FLOW
    token, options = ceremony(holder.client, "reauthenticate")
    body = {"flow_token": token, "credential": device.get(options)}
    assert outcome(holder.log_in().post("passkey_reauthenticate_complete", body)) == NO_FLOW
    token, options = ceremony(holder.client, "register")
    body = {"flow_token": token, "credential": Device().create(options)}
    assert outcome(other.client.post("passkey_register_complete", body)) == NO_FLOW
    first, second = pending(holder), pending(holder)
    token, options = ceremony(Api(), "verify", {"ephemeral_token": first})
    body = {"flow_token": token, "credential": device.get(options), "ephemeral_token": second}
    assert outcome(Api().post("passkey_verify_complete", body)) == NO_FLOW
    late, options = ceremony(Api(), "login")
    clock.shift(301)
    body = {"flow_token": late, "credential": device.get(options)}
    assert outcome(Api().post("passkey_login_complete", body)) == NO_FLOW
    ceremony(Api(), "login")
    clock.shift(301)
    assert purge(timezone.now()) == 1
    assert not Ceremony.objects.exists()


def test_what_waits_is_not_stored_in_the_clear(holder: Holder, caplog: Any) -> None:
    """MFA-12: of flow tokens there are hashes, and neither they nor keys are logged."""
    with caplog.at_level(logging.INFO):
        token, _ = ceremony(Api(), "login")
        holder.log_in()
    assert token not in str([*Ceremony.objects.values()]) + caplog.text


def test_a_copy_of_a_passkey_is_noticed(holder: Holder, mailbox: list[Any]) -> None:
    """MFA-12: a count that does not go up is refused, recorded and mailed; what never counts is taken."""
    holder.log_in()
    uses = holder.device.uses
    mailbox.clear()
    for count in (uses, uses - 1, 0):
        assert outcome(log_in(holder.device, count=count)) == BAD
    assert outcome(verify(pending(holder), holder.device, count=uses)) == BAD
    told = [mail for mail in mailbox if "a copy of it" in mail.body]
    assert [mail.to for mail in told] == [[holder.user.email]] * 4
    copied = AuditEvent.objects.filter(event="authn_passkey_copied", user_id=holder.user.pk)
    assert copied.count() == 4
    assert log_in(holder.device, count=uses + 5).status == 200
    quiet = Device(counts=False)
    assert register(holder.client, quiet).status == 201
    assert [log_in(quiet).status for _ in range(3)] == [200] * 3


def test_several_origins(holder: Holder, settings: Any) -> None:
    """MFA-12: those of the setting, exactly, and no other."""
    app = "android:apk-key-hash:" + "A" * 43
    settings.PASSKEY_ORIGINS = [*settings.PASSKEY_ORIGINS, "https://admin.example.com", app]
    for origin in settings.PASSKEY_ORIGINS:
        assert log_in(holder.device, origin=origin).status == 200
    for origin in ("https://admin.example.com:8443", "https://x.admin.example.com", app[:-1]):
        assert outcome(log_in(holder.device, origin=origin)) == BAD


@pytest.mark.parametrize("end", ["deactivation", "deletion", "removal"])
def test_a_passkey_ends_with_its_account(end: str, holder: Holder) -> None:
    """MFA-12: answered like a passkey that never was."""
    user = get_user_model().objects.get(pk=holder.user.pk)
    if end == "deletion":
        user.delete()
        assert not Passkey.objects.exists()
    elif end == "deactivation":
        user.is_active = False
        user.save()
    else:
        assert holder.client.delete(reverse("passkey", args=[holder.passkey])).status == 204
    assert outcome(log_in(holder.device)) == BAD


@real_transactions
def test_no_login_slips_through_while_a_passkey_is_removed(holder: Holder) -> None:
    """MFA-12: it comes before, and is then ended, or it is refused."""
    flows = [ceremony(Api(), "login") for _ in range(5)]
    bodies = [
        {"flow_token": token, "credential": holder.device.get(options)} for token, options in flows
    ]
    removed, *logins = at_once(
        partial(holder.client.delete, reverse("passkey", args=[holder.passkey])),
        *(partial(Api().post, "passkey_login_complete", body) for body in bodies),
    )
    assert removed.status == 204
    assert {answer.status for answer in logins} <= {200, 400, 503}
    living = AuthSession.objects.live().filter(user=holder.user)
    assert [str(session.pk) for session in living] == [claims_of(holder.client.access)["sid"]]


def test_an_unverified_address_is_refused(holder: Holder) -> None:
    """MFA-12: where verification is mandatory, by the one function that begins every session."""
    EmailAddress.objects.filter(user=holder.user).update(verified=False)
    answer = log_in(holder.device)
    if policy.EMAIL_VERIFICATION == "mandatory":
        assert outcome(answer) == (400, "email_not_verified")
    else:
        assert answer.status == 200


def test_logins_are_limited(holder: Holder) -> None:
    """MFA-12: of one network; the owner's is another one."""
    answers = [Api().post("passkey_login_begin", REMOTE_ADDR="203.0.113.9") for _ in range(61)]
    assert [answer.status for answer in answers] == [200] * 60 + [429]
    assert holder.log_in().is_alive


def test_a_login_takes_few_queries(
    holder: Holder, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    """MFA-12: however many passkeys there are."""
    for _ in range(3):
        assert register(holder.client, Device()).status == 201
    with django_assert_max_num_queries(2):
        assert len(holder.client.get("passkey_list").body) == 4
    token, options = ceremony(Api(), "login")
    body = {"flow_token": token, "credential": holder.device.get(options)}
    with django_assert_max_num_queries(30):
        assert Api().post("passkey_login_complete", body).status == 200


# --- As a second factor --------------------------------------------------------------------


def pending(holder: Holder) -> str:
    """Log in as far as the password goes."""
    return Enrolled(holder.account, holder.client, App(""), []).pending()


def test_a_passkey_is_a_second_factor(holder: Holder) -> None:
    """MFA-12: the password alone gives no session, and tells what is wanted."""
    AuthSession.objects.all().delete()
    waiting = Api().post("rest_login", holder.account.credentials).body
    assert waiting["factors"] == ["webauthn"]
    assert not AuthSession.objects.exists()
    answer = verify(waiting["ephemeral_token"], holder.device)
    assert answer.status == 200, answer.body
    assert answer.body["user"]["pk"] == str(holder.user.pk)
    client = Api().with_tokens_of(answer)
    claims = claims_of(client.access)
    assert (claims["acr"], claims["amr"]) == ("aal2", ["pwd", "pop", "user", "mfa"])
    dead = {"ephemeral_token": waiting["ephemeral_token"]}
    assert outcome(Api().post("passkey_verify_begin", dead)) == (400, "invalid_login")


def test_a_second_factor_is_checked_like_a_first_one(holder: Holder) -> None:
    """MFA-12: each wrong answer is a try of the login; five end it."""
    token = pending(holder)
    lies: list[dict[str, Any]] = [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"handle": "x"},
        {"signature": b"x"},
    ]
    begin = {"ephemeral_token": token}
    last, options = ceremony(Api(), "verify", begin)
    for each in lies:
        assert outcome(verify(token, holder.device, **each)) == BAD
    body = {**begin, "flow_token": last, "credential": holder.device.get(options)}
    assert outcome(Api().post("passkey_verify_complete", body)) == (400, "invalid_login")
    assert outcome(Api().post("passkey_verify_begin", begin)) == (400, "invalid_login")
    assert verify(pending(holder), holder.device).status == 200


def test_a_recovery_code_stands_for_a_passkey(holder: Holder) -> None:
    """MFA-12: whoever has lost the device logs in with it, and removes the passkey."""
    answer = verify_code(pending(holder), holder.recovery_codes[0])
    assert answer.status == 200
    client = Api().with_tokens_of(answer)
    assert client.delete(reverse("passkey", args=[holder.passkey])).status == 204
    assert holder.account.log_in().is_alive


def test_app_and_passkey_stand_side_by_side(holder: Holder, clock: Any) -> None:
    """MFA-12: either finishes a login; who removes one keeps the other, and the recovery codes."""
    begun = holder.client.get("mfa_totp_activate").body
    app = App(begun["secret"])
    body = {"activation_token": begun["activation_token"], "code": app.code()}
    done = holder.client.post("mfa_totp_activate", body)
    assert (done.status, done.body) == (200, {"recovery_codes": []})
    assert outcome(holder.client.get("mfa_totp_activate")) == (400, "mfa_enabled")
    status = holder.client.get("mfa_status").body
    assert (status["factors"], status["recovery_codes_left"]) == (["totp", "webauthn"], 10)
    clock.shift(30)
    assert verify_code(pending(holder), app.code()).status == 200
    assert verify(pending(holder), holder.device).status == 200
    code = {"code": holder.recovery_codes[0]}
    assert holder.client.post("mfa_totp_deactivate", code).status == 200
    assert outcome(holder.client.post("mfa_totp_deactivate", code)) == (400, "mfa_disabled")
    status = holder.client.get("mfa_status").body
    assert (status["factors"], status["recovery_codes_left"]) == (["webauthn"], 9)
    assert verify(pending(holder), holder.device).status == 200


def test_a_passkey_comes_to_an_app(account: Account, clock: Any) -> None:
    """MFA-12: the recovery codes stay, and stay when it goes."""
    enrolled = enrol(account)
    answer = register(enrolled.client, Device())
    assert (answer.status, answer.body["recovery_codes"]) == (201, [])
    url = reverse("passkey", args=[answer.body["id"]])
    assert enrolled.client.delete(url).status == 204
    assert enrolled.client.get("mfa_status").body["recovery_codes_left"] == 10
    assert verify_code(enrolled.pending(), enrolled.recovery_codes[0]).status == 200


def test_who_removes_the_last_factor(holder: Holder, settings: Any) -> None:
    """MFA-12: has no recovery codes either, and is where they were before."""
    assert holder.client.delete(reverse("passkey", args=[holder.passkey])).status == 204
    assert not Authenticator.objects.exists()
    assert claims_of(holder.client.refreshed().access)["acr"] == "aal1"
    assert holder.account.log_in().is_alive
    settings.MFA_REQUIRED = "all"
    refused = (403, "mfa_enrolment_required")
    assert outcome(holder.client.get("rest_user_details")) == refused


def test_a_passkey_is_enough_where_a_second_factor_is_required(
    account: Account, settings: Any, clock: Any
) -> None:
    """MFA-12: it is registered while nothing else can be done, and then opens everything."""
    settings.MFA_REQUIRED = "all"
    client = account.log_in()
    assert outcome(client.get("rest_user_details")) == (403, "mfa_enrolment_required")
    assert client.get("passkey_list").body == []
    assert outcome(client.post("passkey_reauthenticate_begin")) == (400, "no_passkey")
    holder = equip(account, client)
    assert client.get("rest_user_details").status == 200
    assert holder.log_in().get("rest_user_details").status == 200


# --- What happens to accounts --------------------------------------------------------------


def test_what_is_stored_and_told(holder: Holder) -> None:
    """MFA-12: the export names the passkeys, without keys."""
    exported = holder.client.get("user_export").body["other"]
    assert [set(each) for each in exported["passkeys"]] == [{"name", "created_at", "last_used_at"}]
    assert exported["passkeys"][0]["name"] == "Phone"
    (name,) = holder.device.keys
    assert name not in str(exported)


@admin_is_here
def test_the_admin_shows_names_and_no_key(
    holder: Holder, make_account: Callable[..., Account]
) -> None:
    """MFA-12: nobody adds or changes one there; to delete one resets its user's factors."""
    browser = Client()
    browser.force_login(make_account(is_staff=True, is_superuser=True).user)
    row = Authenticator.objects.get(type="webauthn")
    listing = browser.get(reverse("admin:mfa_authenticator_changelist")).content.decode()
    page = browser.get(reverse("admin:mfa_authenticator_change", args=[row.pk])).content.decode()
    (name,) = holder.device.keys
    for text in (listing, page):
        assert "Phone" in text
        assert "attestationObject" not in text
        assert name not in text
    assert browser.post(reverse("admin:mfa_authenticator_change", args=[row.pk])).status_code == 403
    url = reverse("admin:mfa_authenticator_delete", args=[row.pk])
    assert browser.post(url, {"post": "yes"}).status_code == 302
    assert not Passkey.objects.exists()
    assert outcome(log_in(holder.device)) == BAD


# --- Whatever is sent instead --------------------------------------------------------------

NESTED = websafe_encode(b"\x81" * 20_000 + b"\x00")
ODD: list[Any] = [
    "",
    "é",
    "A",
    "====",
    "x" * 30_000,
    NESTED,
    None,
    1,
    [],
    {},
    websafe_encode(cbor.encode(1)),
]


@pytest.mark.parametrize("part", ["clientDataJSON", "attestationObject"])
def test_a_malformed_new_passkey_is_refused(part: str, account: Account) -> None:
    """MFA-12: 400, and no defect."""
    client = account.log_in()
    for odd in ODD:
        token, options = ceremony(client, "register")
        credential = Device().create(options)
        credential["response"][part] = odd
        body = {"flow_token": token, "credential": credential}
        assert client.post("passkey_register_complete", body).status == 400
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize(
    "part", ["clientDataJSON", "authenticatorData", "signature", "userHandle", "rawId", "id"]
)
def test_a_malformed_answer_is_refused(part: str, holder: Holder) -> None:
    """MFA-12: 400, and no defect."""
    for odd in ODD:
        token, options = ceremony(Api(), "login")
        credential = holder.device.get(options)
        (credential if part in credential else credential["response"])[part] = odd
        body = {"flow_token": token, "credential": credential}
        assert Api().post("passkey_login_complete", body).status == 400


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"flow_token": "x"},
        {"flow_token": "", "credential": {}},
        {"flow_token": ["x"], "credential": "x"},
        {"flow_token": "x" * 9999, "credential": None},
    ],
    ids=str,
)
def test_a_malformed_body_is_refused(body: Any, holder: Holder) -> None:
    """MFA-12: on each of the endpoints, 400."""
    for name in ("register", "reauthenticate"):
        assert holder.client.post(f"passkey_{name}_complete", body).status == 400
    for name in ("login", "verify"):
        assert Api().post(f"passkey_{name}_complete", body).status == 400
    assert Api().post("passkey_verify_begin", body).status == 400


def test_a_credential_is_found_by_its_bytes(holder: Holder) -> None:
    """MFA-12: whatever the spelling of its base64url."""
    (name,) = holder.device.keys
    assert Passkey.objects.get().digest == digest_of({"rawId": name})
    assert digest_of({"rawId": "eHh"}) == digest_of({"rawId": "eHg"})
