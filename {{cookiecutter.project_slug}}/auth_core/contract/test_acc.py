"""ACC: an account's address is verified, its identity fields are its own, and step-up is explicit."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.contrib.auth import get_user_model
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.forms import modelform_factory
from django.urls import path
from django.utils import translation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auth_core import policy, urls
from auth_core.accounts.fields import canonical
from auth_core.accounts.serializers import UserDetailsSerializer
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import (
    real_transactions,
    registration_is_open,
    verification_is_mandatory,
)
from auth_core.sessions.models import AuthSession
from auth_core.sessions.permissions import RecentlyAuthenticated
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    claims_of,
    link_secrets,
    registration,
)
from users.serializers import UserSerializer

pytestmark = pytest.mark.django_db

STEP_UP_ENDS = policy.REAUTHENTICATION_MINUTES * 60 + 1


class TransferView(APIView):
    """Stands for an endpoint of the team that asks for a recent login."""

    permission_classes = (RecentlyAuthenticated,)

    def post(self, request: Request) -> Response:
        return Response({})


# For tests that name this module as their URLconf.
urlpatterns = [path("transfer/", TransferView.as_view(), name="transfer"), *urls.urlpatterns]


# --- Verification --------------------------------------------------------------------------


@pytest.fixture
def waiting(make_account: Callable[..., Account]) -> Account:
    return make_account(verified=False)


def key_of(account: Account) -> str:
    return EmailConfirmationHMAC(EmailAddress.objects.get(user=account.user)).key


def verify(key: Any) -> Answer:
    return Api().post("rest_verify_email", {"key": key})


def is_verified(account: Account) -> bool:
    return EmailAddress.objects.filter(user=account.user, verified=True).exists()


def test_a_verification_key_works_once(waiting: Account) -> None:
    """ACC-01: verifying the one address, and logging nobody in."""
    key = key_of(waiting)
    answer = verify(key)
    assert (answer.status, answer.body) == (200, {"detail": "ok"})
    assert not answer.cookies
    assert not AuthSession.objects.exists()
    assert is_verified(waiting)
    again = verify(key)
    assert (again.status, again.code) == (400, "invalid_key")


def test_a_verification_key_expires(waiting: Account, clock: Any) -> None:
    """ACC-01: after EMAIL_VERIFICATION_HOURS, a day at most."""
    assert policy.EMAIL_VERIFICATION_HOURS <= 24
    key = key_of(waiting)
    clock.shift(policy.EMAIL_VERIFICATION_HOURS * 3600 + 5)
    assert verify(key).code == "invalid_key"
    assert not is_verified(waiting)
    assert verify(key_of(waiting)).status == 200


def test_a_tampered_verification_key_is_refused(waiting: Account, make_account: Any) -> None:
    """ACC-01: whichever part was changed; a key signed for something else is none."""
    other = make_account(verified=False)
    key = key_of(waiting)
    payload, rest = key.split(":", 1)
    foreign = key_of(other).split(":", 1)[0]
    address = EmailAddress.objects.get(user=waiting.user)
    bad = [
        key[:-1],
        f"{key}x",
        key.swapcase(),
        f"{foreign}:{rest}",
        f"{payload}:{rest.split(':')[0]}:x",
        signing.dumps(address.pk),
        signing.dumps(address.pk, salt="other"),
        "",
        "x",
        ":::",
    ]
    for each in bad:
        assert verify(each).status == 400, each
    assert not is_verified(waiting)
    assert not is_verified(other)


def test_a_verification_key_is_of_one_address(waiting: Account) -> None:
    """ACC-01: one that was mailed to an address that the account no longer has verifies nothing."""
    key = key_of(waiting)
    EmailAddress.objects.filter(user=waiting.user).delete()
    EmailAddress.objects.create(user=waiting.user, email="other@example.com", primary=True)
    assert verify(key).code == "invalid_key"
    assert not is_verified(waiting)


@registration_is_open
@verification_is_mandatory
def test_there_is_no_token_before_the_address_is_verified(api: Api, mailbox: list[Any]) -> None:
    """ACC-02: neither from the registration nor from a login; the right password hears why."""
    body = registration()
    answer = api.post("rest_register", body)
    assert (answer.status, {*answer.body}) == (201, {"detail", "registration_token"})
    assert not answer.cookies
    account = Account(SimpleNamespace(**body))
    refused = api.post("rest_login", account.credentials)
    assert (refused.status, refused.code) == (400, "email_not_verified")
    wrong = api.post("rest_login", {**account.credentials, "password": "wrong"})
    assert (wrong.status, wrong.code) == (400, "invalid_credentials")
    assert not AuthSession.objects.exists()
    assert verify(link_secrets(mailbox[0])["key"]).status == 200
    account.log_in()


@verification_is_mandatory
def test_an_account_made_elsewhere_is_verified_too(waiting: Account) -> None:
    """ACC-02: however it came to be, its first token comes after the link."""
    assert Api().post("rest_login", waiting.credentials).code == "email_not_verified"
    verify(key_of(waiting))
    waiting.log_in()


# --- Identity ------------------------------------------------------------------------------


def identity_of(user: Any) -> dict[str, Any]:
    return dict(
        get_user_model()
        .objects.filter(pk=user.pk)
        .values("id", "username", "email", "is_active", "is_staff", "is_superuser", "date_joined")
        .get()
    )


@pytest.mark.inside
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_user_details_never_change_who_somebody_is(account: Account, method: str) -> None:
    """ACC-05: e-mail, user name, ids and rights sent to user/ are ignored, one by one and together."""
    client, before = account.log_in(), identity_of(account.user)
    evil = {
        "pk": "00000000-0000-0000-0000-000000000001",
        "id": "00000000-0000-0000-0000-000000000001",
        "username": "evil",
        "email": "evil@example.com",
        "is_staff": True,
        "is_superuser": True,
        "is_active": False,
        "date_joined": "2001-01-01T00:00:00Z",
        "emailaddress_set": [{"email": "evil@example.com", "verified": True}],
        "password": OTHER_PASSWORD,
    }
    for body in (*({name: value} for name, value in evil.items()), evil):
        answer = client.request(method, "rest_user_details", body)
        assert answer.status == 200, answer.body
        assert answer.body["email"] == account.user.email
    assert identity_of(account.user) == before
    assert [each.email for each in EmailAddress.objects.all()] == [account.user.email]
    account.log_in()


def test_user_details_are_a_listed_set(account: Account) -> None:
    """ACC-09: GET user/ answers with exactly the serializer's fields, of the kernel these."""
    names = {"username"} if policy.LOGIN_WITH != "email" else set()
    kernel = {"pk", "email", "first_name", "last_name"} | names
    assert set(UserDetailsSerializer().fields) == kernel
    body = account.log_in().get("rest_user_details").body
    assert set(body) == set(UserSerializer().fields)
    expected = {"pk": str(account.user.pk), "email": account.user.email, "first_name": ""}
    assert {name: body[name] for name in expected} == expected


class ChoosySerializer(UserDetailsSerializer):
    def get_extra_kwargs(self) -> dict[str, Any]:
        return {**super().get_extra_kwargs(), "first_name": {"read_only": self.context["is_read"]}}


def test_each_serializer_has_fields_of_its_own() -> None:
    """ACC-09: what one request makes of the fields shows in no other, in any language or subclass."""
    for made in (UserDetailsSerializer, UserSerializer):
        changed = made()
        changed.fields["first_name"].read_only = True
        assert not made().fields["first_name"].read_only
        with translation.override("de"):
            assert str(made().fields["first_name"].label) == "Vorname"
        assert str(made().fields["first_name"].label) == "First name"
    for is_read in (False, True, False):
        chosen = ChoosySerializer(context={"is_read": is_read})
        assert chosen.fields["first_name"].read_only == is_read


SPELLINGS = [
    (" Ada@Example.COM ", "ada@example.com"),
    ("\uff41da@example.com", "ada@example.com"),
    ("ada@\uff45xample.com", "ada@example.com"),
    ("ada@B\u00dcCHER.example", "ada@xn--bcher-kva.example"),
    ("ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"),
    ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
    ("ada@b\u00fccher\u3002example", "ada@xn--bcher-kva.example"),
    ("ada@fa\u00df.example", "ada@xn--fa-hia.example"),
    ("ada@FA\u1e9e.example", "ada@xn--fa-hia.example"),
    ("ada@XN--FA-HIA.example", "ada@xn--fa-hia.example"),
    ("ada@\u039f\u0394\u039f\u03a3.example", "ada@xn--pxavbq.example"),
    ("ada@\u03bf\u03b4\u03bf\u03c2.example", "ada@xn--pxavbm.example"),
]


@pytest.mark.parametrize(("typed", "stored"), SPELLINGS)
def test_an_address_has_one_spelling(
    api: Api, make_account: Any, mailbox: list[Any], typed: str, stored: str
) -> None:
    """ACC-11: trimmed, lower case, NFKC, the domain in ASCII: before uniqueness and every look-up."""
    assert canonical(typed) == canonical(stored) == stored
    account = make_account(email=typed)
    account.user.refresh_from_db()
    assert account.user.email == stored
    found = get_user_model().objects.filter(email=typed).get()
    assert found == account.user
    if policy.LOGIN_WITH != "username":
        name = "email" if policy.LOGIN_WITH == "email" else "username"
        assert api.post("rest_login", {name: typed, "password": PASSWORD}).status == 200
    assert api.post("rest_password_reset", {"email": typed}).status == 200
    assert [mail.to for mail in mailbox] == [[stored]]
    if policy.REGISTRATION == "open":
        body = registration(email=typed)
        # Where verification is mandatory the answer hides that the address is known.
        assert api.post("rest_register", body).status in (201, 400)
    assert get_user_model().objects.count() == 1


@pytest.mark.parametrize(("typed", "stored"), SPELLINGS)
def test_a_changed_address_has_it_too(
    account: Account, mailbox: list[Any], typed: str, stored: str
) -> None:
    """ACC-11: the new address of a change as well."""
    assert account.log_in().post("email_change", {"email": typed}).status == 200
    assert mailbox[-1].to == [stored]
    assert Api().post("email_change_confirm", link_secrets(mailbox[-1])).status == 200
    assert get_user_model().objects.get().email == EmailAddress.objects.get().email == stored


REFUSED = [
    '"ada"@example.com',
    '"a\\\\da"@example.com',
    "ada@[127.0.0.1]",
    "ada@[IPv6:::1]",
    "ada@xn--53h.example",  # an emoji, which IDNA 2008 has not
    "ada@\u2615.example",
    "ada@xn--fass-.example",
    "ada@xn--bcher-kva\u00ad\u200d.example",
    "ada@xn--BCHER-KVA-.example",
]


@pytest.mark.inside
@pytest.mark.parametrize("address", REFUSED)
def test_no_account_takes_a_second_spelling(
    api: Api, account: Account, mailbox: list[Any], address: str
) -> None:
    """ACC-15, ACC-16: quoted names, address literals and what is no domain: registration, change, admin, shell."""
    if policy.REGISTRATION == "open":
        refused = api.post("rest_register", registration(email=address))
        assert (refused.status, "email" in refused.body["codes"]) == (400, True)
    refused = account.log_in().post("email_change", {"email": address})
    assert (refused.status, "email" in refused.body["codes"]) == (400, True)
    with pytest.raises(ValidationError):
        get_adapter().clean_email(address)
    form = modelform_factory(get_user_model(), fields=["email"])({"email": address})
    assert "email" in form.errors
    names = {"username": "new"} if policy.LOGIN_WITH != "email" else {}
    with pytest.raises(CommandError):
        call_command("createsuperuser", email=address, interactive=False, **names)
    assert not mailbox


@pytest.mark.inside
def test_a_mailbox_has_one_address(api: Api, mailbox: list[Any], account: Account) -> None:
    """ACC-16: what is typed with a sharp s is never mailed to the domain with ss."""
    get_user_model().objects.filter(pk=account.user.pk).update(email="ada@fass.example")
    EmailAddress.objects.update(email="ada@fass.example")
    account.user.refresh_from_db()
    for name in ("rest_password_reset", "rest_resend_email"):
        assert api.post(name, {"email": "ada@fa\u00df.example"}).status == 200
    client = account.log_in()
    assert client.post("email_change", {"email": "eve@fa\u00df.example"}).status == 200
    assert [mail.to for mail in mailbox] == [["eve@xn--fa-hia.example"]]


FORMER = [
    # As IDNA 2003 stored what was typed so.
    ("ada@fass.example", "Ada@fa\u00df.example"),
    ("ada@xn--pxavbq.example", "ada@\u03bf\u03b4\u03bf\u03c2.example"),
    ("ada@xn--53h.example", "ada@\u2615.example"),
    ("ada@[127.0.0.1]", "ada@[127.0.0.1]"),
    ('"ada"@example.com', '"Ada"@example.com'),
]


@pytest.mark.inside
@pytest.mark.skipif(policy.LOGIN_WITH == "username", reason="no login by address by the policy")
@pytest.mark.parametrize(("stored", "typed"), FORMER)
def test_stored_addresses_go_on(account: Account, stored: str, typed: str) -> None:
    """ACC-15, ACC-16: whoever registered before logs in as before, until an operator has decided."""
    get_user_model().objects.filter(pk=account.user.pk).update(email=stored)
    EmailAddress.objects.update(email=stored)
    name = "email" if policy.LOGIN_WITH == "email" else "username"
    for spelling in (stored, typed):
        answer = Api().post("rest_login", {name: spelling, "password": PASSWORD})
        assert (answer.status, answer.body["user"]["email"]) == (200, stored)


@pytest.mark.inside
def test_an_operator_sees_stored_addresses(make_account: Callable[..., Account]) -> None:
    """ACC-15, ACC-16: checkaddresses lists what no account could take today, and what may have been typed otherwise."""
    for stored in ("ada@example.com", *(stored for stored, _ in FORMER)):
        account = make_account()
        get_user_model().objects.filter(pk=account.user.pk).update(email=stored)
    output = io.StringIO()
    call_command("checkaddresses", stdout=output)
    listed = {line.split()[1].rstrip(":") for line in output.getvalue().splitlines()[:-1]}
    assert listed == {stored for stored, _ in FORMER[2:]}
    call_command("checkaddresses", possible=True, stdout=output)
    assert "ada@fass.example: may have been typed ada@fa\u00df.example" in output.getvalue()
    assert "typed ada@\u03bf\u03b4\u03bf\u03c2.example" in output.getvalue()


# --- Step-up -------------------------------------------------------------------------------


def transfer(client: Api) -> Any:
    answer = client.post("transfer")
    return answer.code or answer.status


@pytest.mark.inside
@pytest.mark.urls(__name__)
def test_step_up_is_explicit_and_ends(account: Account, clock: Any) -> None:
    """ACC-07: a login counts for some minutes, a refresh never, the password again for some more."""
    client = account.log_in()
    assert transfer(client) == 200
    clock.shift(STEP_UP_ENDS)
    client = client.refreshed()
    assert transfer(client) == "reauthentication_required"
    client = client.refreshed()
    assert transfer(client) == "reauthentication_required"
    answer = client.post("reauthenticate", {"password": PASSWORD})
    assert (answer.status, set(answer.body)) == (200, {"detail"})
    assert transfer(client) == 200
    clock.shift(STEP_UP_ENDS)
    client = client.refreshed()
    assert transfer(client) == "reauthentication_required"


@pytest.mark.inside
@pytest.mark.urls(__name__)
def test_step_up_is_of_one_session(account: Account, clock: Any) -> None:
    """ACC-07: neither another session of the user nor a login elsewhere counts for this one."""
    client, other = account.log_in(), account.log_in()
    clock.shift(STEP_UP_ENDS)
    client, other = client.refreshed(), other.refreshed()
    assert other.post("reauthenticate", {"password": PASSWORD}).status == 200
    account.log_in()
    assert transfer(other) == 200
    assert transfer(client) == "reauthentication_required"
    assert Api().post("transfer").status == 401


@pytest.mark.inside
@pytest.mark.urls(__name__)
def test_a_wrong_password_steps_nobody_up(account: Account, clock: Any) -> None:
    """ACC-07: it is refused, on the audit trail, and the session lives on."""
    client = account.log_in()
    clock.shift(STEP_UP_ENDS)
    client = client.refreshed()
    for body in ({"password": ""}, {"password": None}):
        assert client.post("reauthenticate", body).status == 400
    refused = client.post("reauthenticate", {"password": f" {PASSWORD}"})
    assert (refused.code, refused.body["codes"]) == (
        "invalid_password",
        {"password": ["invalid_password"]},
    )
    assert transfer(client) == "reauthentication_required"
    assert client.is_alive
    events = AuditEvent.objects.filter(event="authn_reauthentication_fail")
    assert {str(event.session_id) for event in events} == {claims_of(client.access)["sid"]}
    assert client.post("reauthenticate", {"password": PASSWORD}).status == 200
    assert AuditEvent.objects.filter(event="authn_reauthentication_success").count() == 1


@pytest.mark.inside
def test_a_wrong_password_of_step_up_is_throttled(account: Account) -> None:
    """ACC-07: a stolen session is no way to guess the password."""
    client = account.log_in()
    answers = [client.post("reauthenticate", {"password": "wrong"}).status for _ in range(40)]
    assert answers[0] == 400
    assert answers[-1] == 429


def test_mail_is_no_factor(
    api: Api, account: Account, waiting: Account, mailbox: list[Any]
) -> None:
    """ACC-08: no mailed link gives a session, and a session's factors are what proved it: a password."""
    client = account.log_in()
    (session,) = client.get("session_list").body
    assert session["amr"] == ["pwd"]
    assert client.post("email_change", {"email": "new@example.com"}).status == 200
    change = link_secrets(mailbox[-1])
    api.post("rest_password_reset", {"email": waiting.user.email})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    links: list[tuple[str, dict[str, str]]] = [
        ("rest_verify_email", {"key": key_of(waiting)}),
        ("rest_password_reset_confirm", {**link_secrets(mailbox[-1]), **new}),
        ("email_change_confirm", change),
    ]
    for name, body in links:
        answer = api.post(name, body)
        assert (answer.status, set(answer.body)) == (200, {"detail"}), answer.body
        assert not answer.cookies
    undone = api.post("email_change_undo", link_secrets(mailbox[-1]))
    assert (undone.status, set(undone.body)) == (200, {"detail"})
    assert AuthSession.objects.count() == 1


def test_no_link_or_code_logs_in(settings: Any) -> None:
    """ACC-08: allauth's codes by mail are off, and no endpoint serves them."""
    from allauth.account import app_settings

    assert not app_settings.LOGIN_BY_CODE_ENABLED
    assert not app_settings.EMAIL_VERIFICATION_BY_CODE_ENABLED
    assert not app_settings.PASSWORD_RESET_BY_CODE_ENABLED
    assert not app_settings.LOGIN_ON_EMAIL_CONFIRMATION
    assert not app_settings.LOGIN_ON_PASSWORD_RESET


@pytest.mark.inside
@real_transactions
def test_racing_verifications_agree(waiting: Account) -> None:
    """ACC-01: one key used eight times at once: no 5xx, one verified address."""
    key = key_of(waiting)
    answers = at_once(*(partial(verify, key) for _ in range(8)))
    assert {answer.status for answer in answers} <= {200, 400}
    assert 200 in {answer.status for answer in answers}
    assert EmailAddress.objects.filter(verified=True).count() == 1


@pytest.mark.inside
def test_a_session_that_was_stepped_up_is_named_by_its_token_alone(account: Account) -> None:
    """ACC-07: stepping up makes no new token, and moves nothing but the time."""
    client = account.log_in()
    before: dict[str, Any] = dict(AuthSession.objects.values().get())
    answer = client.post("reauthenticate", {"password": PASSWORD})
    assert not answer.cookies
    after: dict[str, Any] = dict(AuthSession.objects.values().get())
    assert {name for name in after if after[name] != before[name]} == {"auth_time"}
    assert replace(client).is_alive
