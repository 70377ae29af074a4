"""MFA-12: no path leads round a passkey, nor round the new password of a recovered account; where passkeys are used."""

import importlib
import io
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, path
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core import env, policy
from auth_core.accounts.views import log_in as log_in_somebody
from auth_core.contract.test_ref import outcome
from auth_core.features.mfa.permissions import SecondFactor
from auth_core.features.mfa.tests.testing import all_that_one_factor_has, pending, try_every_path
from auth_core.features.passkeys import settings as passkeys_settings
from auth_core.features.passkeys.models import Passkey
from auth_core.http.views import PublicEndpoint
from auth_core.sessions.models import AuthSession
from auth_core.sessions.permissions import RecentlyAuthenticated
from auth_core.testing import OTHER_PASSWORD, Account, Api, claims_of, link_secrets
from config.urls import urlpatterns as project_urlpatterns
from users.models import User

from .testing import PRESENT, Device, Holder, ceremony, log_in, reauthenticate, register, verify

pytestmark = [pytest.mark.django_db, pytest.mark.inside]


class FederatedLogin(PublicEndpoint, GenericAPIView):
    """Stands for a login at another provider."""

    def post(self, request: Request) -> Response:
        data: Any = request.data
        user = User.objects.get(pk=data["user"])
        return log_in_somebody(self, user, request._request, amr=("fed",))


class Guarded(GenericAPIView):
    """Stands for what a team protects by a recent second factor."""

    permission_classes = (SecondFactor, RecentlyAuthenticated)

    def get(self, request: Request) -> Response:
        return Response({})


# For tests that name this module as their URLconf.
urlpatterns: list[URLPattern | URLResolver] = [
    path("federated/", FederatedLogin.as_view()),
    path("guarded/", Guarded.as_view()),
    *project_urlpatterns,
]


# --- No way round --------------------------------------------------------------------------


def test_no_path_gives_a_token_for_less_than_a_passkey(
    holder: Holder, other_account: Account, mailbox: list[Any]
) -> None:
    """MFA-12: given the password, the mails, a used answer, and one without verification."""
    other = Device()
    assert register(other_account.log_in(), other).status == 201
    AuthSession.objects.filter(user=other_account.user).delete()
    used_token, options = ceremony(Api(), "login")
    used = {"flow_token": used_token, "credential": holder.device.get(options)}
    assert Api().post("passkey_login_complete", used).status == 200
    body = all_that_one_factor_has(holder.account, mailbox)
    for purpose, begin in (("login", {}), ("verify", {"ephemeral_token": body["ephemeral_token"]})):
        token, options = ceremony(Api(), purpose, begin)
        (name,), (key,) = holder.device.keys, other.keys.values()
        for credential in (
            used["credential"],
            holder.device.get(options, flags=PRESENT),
            holder.device.get(options, name=name, key=key),
        ):
            try_some = {**body, "flow_token": token, "credential": credential}
            for url in ("passkey_login_complete", "passkey_verify_complete", "mfa_verify"):
                assert Api().post(url, try_some).status == 400
    assert not AuthSession.objects.filter(user=holder.user).exists()
    fresh = all_that_one_factor_has(holder.account, mailbox)
    try_every_path(holder.user, {**fresh, **used, "code": "000000"})
    # Among them the mailed link to a new password, which the passkey alone may no longer follow.
    assert verify(pending(holder.account), holder.device).status == 200


@pytest.mark.urls(__name__)
def test_a_login_at_a_provider_asks_for_the_passkey(holder: Holder) -> None:
    """MFA-12: as its second factor; it goes on with the passkey as with a code."""
    AuthSession.objects.all().delete()
    waiting = Api().post("/federated/", {"user": str(holder.user.pk)})
    assert waiting.body["mfa_required"] is True
    assert not AuthSession.objects.exists()
    answer = verify(waiting.body["ephemeral_token"], holder.device)
    assert answer.status == 200
    client = Api().with_tokens_of(answer)
    assert claims_of(client.access)["amr"] == ["fed", "pop", "user", "mfa"]


@pytest.mark.urls(__name__)
def test_a_passkey_opens_what_asks_for_a_second_factor(
    account: Account, holder: Holder, clock: Any
) -> None:
    """MFA-12: whether the session began with it, or it was shown in between."""
    client = holder.log_in()
    assert client.get("/guarded/").status == 200
    clock.shift(policy.REAUTHENTICATION_MINUTES * 60 + 1)
    client = client.refreshed()
    assert outcome(client.get("/guarded/")) == (403, "reauthentication_required")
    assert reauthenticate(client, holder.device).status == 200
    assert client.get("/guarded/").status == 200


def test_the_beginning_of_a_login_tells_nothing(holder: Holder) -> None:
    """MFA-12: whoever asks, and whatever name is sent along, it says the same but for its random parts."""
    bodies: list[Any] = [{}, holder.account.credentials, {"username": "nobody", "email": "x@y.zz"}]
    answers = [Api().post("passkey_login_begin", body).body for body in bodies]
    for answer in answers:
        assert len(answer.pop("flow_token")) == 43
        assert len(answer["options"].pop("challenge")) == 43
    assert answers[0] == answers[1] == answers[2]


def test_a_login_whose_user_has_no_passkey_says_so_behind_the_password(account: Account) -> None:
    """MFA-12: to nobody else."""
    answer = Api().post("passkey_verify_begin", {"ephemeral_token": "x" * 43})
    assert outcome(answer) == (400, "invalid_login")
    client = account.log_in()
    assert outcome(client.post("passkey_reauthenticate_begin")) == (400, "no_passkey")


# --- Recovery ------------------------------------------------------------------------------


def test_after_a_recovery_a_passkey_needs_the_new_password(
    holder: Holder, mailbox: list[Any]
) -> None:
    """MFA-12: it stays a factor; alone it logs in again once it was used beside the new password.

    A thief may have registered it.
    """
    Api().post("rest_password_reset", {"email": holder.user.email})
    link = link_secrets(mailbox[-1])
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    assert Api().post("rest_password_reset_confirm", {**link, **new}).status == 200
    assert Passkey.objects.filter(authenticator__user=holder.user).exists()
    assert outcome(log_in(holder.device)) == (400, "password_required")
    assert not AuthSession.objects.live().filter(user=holder.user).exists()
    credentials = Account(holder.user, OTHER_PASSWORD).credentials
    waiting = Api().post("rest_login", credentials).body
    assert waiting["factors"] == ["webauthn"]
    assert verify(waiting["ephemeral_token"], holder.device).status == 200
    assert holder.log_in().is_alive


def test_a_first_passkey_that_was_not_the_owners_is_taken_back(
    account: Account, mailbox: list[Any], clock: Any
) -> None:
    """With the passkeys that were added behind it, whose notices have no link."""
    client, devices = account.log_in(), [Device(), Device()]
    for device in devices:
        assert register(client, device).status == 201
    notices = [mail for mail in mailbox if "#" in mail.body]
    assert [mail.to for mail in notices] == [[account.user.email]]
    assert Api().post("mfa_undo", link_secrets(notices[0])).status == 200
    assert not Passkey.objects.exists()
    assert not client.is_alive
    for device in devices:
        assert outcome(log_in(device)) == (400, "invalid_passkey")
    assert outcome(Api().post("rest_login", account.credentials)) == (400, "invalid_credentials")


def test_an_operators_help_asks_for_the_new_password(holder: Holder) -> None:
    """MFA-12: `resetpasswords` is a recovery, too: no thief's passkey logs in before the owner is back."""
    call_command("resetpasswords", user=str(holder.user.pk), stdout=io.StringIO())
    assert outcome(log_in(holder.device)) == (400, "password_required")


# --- Where passkeys are used ---------------------------------------------------------------


def reloaded(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Any:
    for name in ("DJANGO_ENV", "FRONTEND_URL", "PASSKEY_ORIGINS", "PASSKEY_RP_ID", "PORT"):
        monkeypatch.setenv(name, variables.get(name, ""))
    if "PORT" not in variables:
        monkeypatch.delenv("PORT")
    return importlib.reload(passkeys_settings)


APP = "android:apk-key-hash:" + "A" * 43


@pytest.mark.parametrize(
    ("variables", "rp_id", "origins"),
    [
        (
            {"FRONTEND_URL": "https://app.example.com/x"},
            "app.example.com",
            ["https://app.example.com"],
        ),
        (
            {"FRONTEND_URL": "https://APP.example.com:443"},
            "app.example.com",
            ["https://app.example.com"],
        ),
        (
            {"FRONTEND_URL": "https://app.example.com", "PASSKEY_RP_ID": "example.com"},
            "example.com",
            ["https://app.example.com"],
        ),
        (
            {
                "DJANGO_ENV": "production",
                "FRONTEND_URL": "https://10.0.0.1",
                "PASSKEY_RP_ID": "example.com",
                "PASSKEY_ORIGINS": f"https://example.com,https://a.b.example.com:8443, {APP}",
            },
            "example.com",
            ["https://example.com", "https://a.b.example.com:8443", APP],
        ),
        ({"FRONTEND_URL": "http://localhost:3000"}, "localhost", ["http://localhost:3000"]),
        ({"FRONTEND_URL": "http://127.0.0.1:3000"}, "localhost", ["http://localhost:8000"]),
        ({"FRONTEND_URL": "http://127.0.0.1", "PORT": "81"}, "localhost", ["http://localhost:81"]),
    ],
    ids=range(7),
)
def test_where_passkeys_are_used(
    variables: dict[str, str], rp_id: str, origins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MFA-12: at FRONTEND_URL, or where the environment says."""
    settings = reloaded(monkeypatch, variables)
    assert (rp_id, origins) == (settings.PASSKEY_RP_ID, settings.PASSKEY_ORIGINS)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"PASSKEY_RP_ID": "10.0.0.1"}, "PASSKEY_RP_ID: is an address"),
        ({"PASSKEY_RP_ID": "Example.com"}, "PASSKEY_RP_ID: is no domain"),
        ({"PASSKEY_RP_ID": "https://example.com"}, "PASSKEY_RP_ID: is no domain"),
        ({"PASSKEY_RP_ID": "bücher.example"}, "PASSKEY_RP_ID: is no domain"),
        ({"PASSKEY_RP_ID": "com"}, "PASSKEY_RP_ID: is no domain"),
        (
            {"PASSKEY_RP_ID": "example.org"},
            "PASSKEY_ORIGINS: holds https://example.com, which is not",
        ),
        (
            {"PASSKEY_RP_ID": "ample.com"},
            "PASSKEY_ORIGINS: holds https://example.com, which is not",
        ),
        ({"PASSKEY_RP_ID": "app.example.com"}, "PASSKEY_ORIGINS: holds https://example.com, which"),
        ({"PASSKEY_ORIGINS": "http://example.com"}, "PASSKEY_ORIGINS: holds http,"),
        ({"PASSKEY_ORIGINS": "https://example.com/"}, "PASSKEY_ORIGINS: holds what is no origin"),
        ({"PASSKEY_ORIGINS": "https://example.com/x"}, "PASSKEY_ORIGINS: holds what is no origin"),
        (
            {"PASSKEY_ORIGINS": "https://example.com:443"},
            "PASSKEY_ORIGINS: holds what is no origin",
        ),
        ({"PASSKEY_ORIGINS": "https://example.com:x"}, "PASSKEY_ORIGINS: "),
        ({"PASSKEY_ORIGINS": "ftp://example.com"}, "PASSKEY_ORIGINS: holds what is no origin"),
        (
            {"PASSKEY_ORIGINS": "example.com", "PASSKEY_RP_ID": "example.com"},
            "PASSKEY_ORIGINS: holds",
        ),
        (
            {"PASSKEY_ORIGINS": "*", "PASSKEY_RP_ID": "example.com"},
            "PASSKEY_ORIGINS: holds what is no",
        ),
        (
            {"DJANGO_ENV": "production", "PASSKEY_ORIGINS": "http://localhost:3000"},
            "PASSKEY_RP_ID: is localhost in production",
        ),
        (
            {"DJANGO_ENV": "production", "FRONTEND_URL": "https://10.0.0.1"},
            "PASSKEY_RP_ID: is an address",
        ),
    ],
    ids=range(18),
)
def test_an_impossible_place_stops_the_start(
    variables: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MFA-12: with one line that names the variable."""
    with pytest.raises(env.Misconfigured) as refusal:
        reloaded(monkeypatch, {"FRONTEND_URL": "https://example.com", **variables})
    line = str(refusal.value)
    assert line.startswith(problem)
    assert "\n" not in line
