"""SOC: logins at other providers, and the links between accounts, against a real provider on loopback."""

import io
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.account.models import EmailAddress
from allauth.account.signals import user_signed_up
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.conf import settings as django_settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from werkzeug.wrappers import Response

from auth_core import policy
from auth_core.accounts.adapter import frontend_link
from auth_core.accounts.views import log_in
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import admin_is_here, real_transactions
from auth_core.contract.processes import PRODUCTION, run
from auth_core.contract.test_az import Captcha
from auth_core.features.social import flows, providers, views
from auth_core.features.social import settings as fragment
from auth_core.features.social.models import Flow, Unlinked
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    OTHER_PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    forget_uses,
    link_secrets,
    registration,
)

from .conftest import NAME, app_of
from .testing import Provider, new_key

# Warnings of what the provider stands on, which runs in this process.
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.inside,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

USERS = get_user_model()._default_manager
IS_OPEN = policy.REGISTRATION == "open"
open_only = pytest.mark.skipif(not IS_OPEN, reason="nobody registers by the policy")
FINISH, BEGIN = f"social_{NAME}_login", f"social_{NAME}_login_begin"
Login = Callable[..., Answer]


def is_refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body
    assert not answer.cookies
    assert not AuthSession.objects.exists()


@pytest.fixture
def linked(account: Account, provider: Provider) -> Account:
    """An account with a password, linked to the provider's user ada."""
    provider.has_user("ada", email="ada@elsewhere.example", email_verified=True)
    SocialAccount.objects.create(user=account.user, provider=provider.issuer, uid="ada")
    return account


def events(prefix: str = "user_") -> list[str]:
    found = AuditEvent.objects.filter(event__startswith=prefix).order_by("time")
    return list(found.values_list("event", flat=True))


# --- The round trip ----------------------------------------------------------------------------


@open_only
def test_somebody_new_registers_and_comes_back(
    api: Api, provider: Provider, finish: Login, mailbox: list[Any]
) -> None:
    """SOC-08: answered like a login; a session, an event, an account without a password."""
    provider.has_user("ada", email="Ada@Example.COM", email_verified=True, given_name="Ada")
    signed_up: list[Any] = []

    def receive(user: Any, **kwargs: Any) -> None:
        signed_up.append(user)

    user_signed_up.connect(receive)
    try:
        first = finish()
    finally:
        user_signed_up.disconnect(receive)
    assert first.status == 200, first.body
    assert (first.body["user"]["email"], first.body["user"]["first_name"]) == (
        "ada@example.com",
        "Ada",
    )
    client = api.with_tokens_of(first)
    assert client.is_alive
    user = USERS.get()
    assert signed_up == [user]
    assert not user.has_usable_password()
    address = EmailAddress.objects.get()
    assert (address.user, address.verified, address.primary) == (user, True, True)
    assert events() == ["user_created"]
    second = finish()
    assert second.body["user"] == first.body["user"]
    assert USERS.count() == 1
    assert AuthSession.objects.count() == 2
    assert {tuple(it.amr) for it in AuthSession.objects.all()} == {("fed",)}
    assert not mailbox


@open_only
@pytest.mark.skipif(policy.LOGIN_WITH == "email", reason="no user names by the policy")
@pytest.mark.parametrize(
    "name", ["admin", "Ёлка", "a@b", "", "x" * 300, "taken", "-x", "_x.", None, 5]
)
def test_a_user_name_is_made_that_is_free_and_fit(
    provider: Provider, finish: Login, make_account: Any, name: Any
) -> None:
    make_account(username="taken")
    provider.has_user("eve", email="eve@example.com", email_verified=True, preferred_username=name)
    answer = finish("eve")
    assert answer.status == 200, answer.body
    user = USERS.get(email="eve@example.com")
    user.full_clean(exclude=["password"])
    assert user.username not in {"admin", "taken", "user@"}


def test_the_frontend_learns_where_to_send_the_user(begin: Login, provider: Provider) -> None:
    """SOC-02: an authorization code with PKCE by S256, a state and a nonce; no secret in the URL."""
    begun = begin()
    url = urlsplit(begun.body["authorization_url"])
    query = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert begun.body["authorization_url"].startswith(f"{provider.issuer}/oauth2/authorize?")
    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert len(query["state"]) == len(query["nonce"]) == 43
    assert query["redirect_uri"] == "com.example.app:/social"
    assert set(query["scope"].split()) == {"openid", "profile", "email"}
    flow = Flow.objects.get()
    for secret in (flow.code_verifier, flow.key, begun.body["flow_token"], "secret"):
        assert secret not in begun.body["authorization_url"]
    assert begun.body["flow_token"] not in json.dumps(Flow.objects.values()[0], default=str)


def test_pkce_is_proved_at_the_exchange(finish: Login, begin: Login, provider: Provider) -> None:
    """SOC-02: a code is worth nothing with another verifier than the one of its flow."""
    begun = begin()
    granted = provider.grant(begun.body["authorization_url"], "ada")
    Flow.objects.update(code_verifier="x" * 64)
    answer = Api().post(FINISH, {"flow_token": begun.body["flow_token"], **granted})
    is_refused(answer, 400, "invalid_code")


def test_github_and_google_are_asked_alike(settings: Any, provider: Provider) -> None:
    """SOC-02: GitHub with PKCE, too; Google by its own issuer, discovered, as OpenID Connect."""
    settings.SOCIAL_PROVIDERS = {NAME: "github"}
    github = app_of(provider, provider_id="github", settings={})
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [github]}}
    uri = "com.example.app:/social"
    url, _token = providers.authorization_url(NAME, RequestFactory().post("/"), uri)
    query = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
    assert url.startswith("https://github.com/login/oauth/authorize?")
    assert (query["code_challenge_method"], query["scope"]) == ("S256", "user:email")
    assert query["redirect_uri"] == uri
    assert "nonce" not in query
    if "google" in policy.SOCIAL_PROVIDERS:
        assert fragment._app("google")["provider_id"] == "google"
        assert fragment._app("google")["settings"] == {
            "issuer": "https://accounts.google.com",
            "server_url": "https://accounts.google.com/.well-known/openid-configuration",
        }


@open_only
def test_a_login_at_github(
    settings: Any, provider: Provider, begin: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SOC-04: GitHub's own answers, served on loopback: keyed on the id, with its verified address."""
    settings.SOCIAL_PROVIDERS = {NAME: "github"}
    github = app_of(provider, provider_id="github", settings={})
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [github]}}
    for name, path in {
        "access_token_url": "/login/oauth/access_token",
        "profile_url": "/user",
        "emails_url": "/user/emails",
    }.items():
        monkeypatch.setattr(providers.GitHubAdapter, name, provider.issuer + path)
    provider.wrong.answers = {
        "/login/oauth/access_token": Response(
            "access_token=gho_x&scope=user%3Aemail&token_type=bearer",
            content_type="application/x-www-form-urlencoded",
        ),
        "/user": provider.json(
            {"id": 583231, "login": "octocat", "name": "Mona L.", "email": None}
        ),
        "/user/emails": provider.json(
            [
                {"email": "old@example.com", "primary": False, "verified": False},
                {"email": "mona@example.com", "primary": True, "verified": True},
            ]
        ),
    }
    begun = begin()
    state = parse_qs(urlsplit(begun.body["authorization_url"]).query)["state"][0]
    body = {"flow_token": begun.body["flow_token"], "state": state, "code": "x"}
    answer = Api().post(FINISH, body)
    assert answer.status == 200, answer.body
    assert answer.body["user"]["email"] == "mona@example.com"
    account = SocialAccount.objects.get()
    assert (account.provider, account.uid, account.extra_data) == ("github", "583231", {})
    (sent,) = (form for path, form in provider.seen if path == "/login/oauth/access_token")
    assert sent["code_verifier"]
    # GitHub says 200 of a bad code, too.
    refusal = Response(
        "error=bad_verification_code", content_type="application/x-www-form-urlencoded"
    )
    provider.wrong.answers["/login/oauth/access_token"] = refusal
    begun = begin()
    state = parse_qs(urlsplit(begun.body["authorization_url"]).query)["state"][0]
    answer = Api().post(FINISH, {**body, "flow_token": begun.body["flow_token"], "state": state})
    assert (answer.status, answer.code) == (400, "invalid_code")


# --- What a flow is bound to -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": None}, "required"),
        ({"flow_token": None}, "required"),
        ({"code": None}, "required"),
        ({"state": "x" * 43}, "invalid_state"),
        ({"state": "ä"}, "invalid_state"),
        ({"flow_token": secrets.token_urlsafe(32)}, "invalid_state"),
        ({"flow_token": "ä"}, "invalid_state"),
    ],
)
def test_a_foreign_or_missing_state_is_refused(
    finish: Login, linked: Account, changes: dict[str, Any], code: str
) -> None:
    """SOC-01: the state must be the one of the flow whose token the client has."""
    is_refused(finish(**changes), 400, code)


def test_a_link_to_the_frontend_logs_nobody_in(
    begin: Login, provider: Provider, linked: Account
) -> None:
    """SOC-01: code and state of an attacker's flow are worth nothing in the browser of somebody else."""
    attackers, victims = begin(), begin()
    granted = provider.grant(attackers.body["authorization_url"], "ada")
    answer = Api().post(FINISH, {"flow_token": victims.body["flow_token"], **granted})
    is_refused(answer, 400, "invalid_state")


def test_a_flow_is_finished_once(begin: Login, provider: Provider, linked: Account) -> None:
    """SOC-01: whatever came of it."""
    begun = begin()
    granted = provider.grant(begun.body["authorization_url"], "ada")
    body = {"flow_token": begun.body["flow_token"], **granted}
    assert Api().post(FINISH, {**body, "state": "other"}).code == "invalid_state"
    assert Api().post(FINISH, body).code == "invalid_state"
    assert not Flow.objects.exists()


def test_a_flow_ends(begin: Login, provider: Provider, linked: Account, clock: Any) -> None:
    """SOC-01: after SOCIAL_FLOW_SECONDS; what is left of it is purged."""
    begun = begin()
    granted = provider.grant(begun.body["authorization_url"], "ada")
    clock.shift(601)
    begin()
    assert flows.purge(timezone.now()) == 1
    answer = Api().post(FINISH, {"flow_token": begun.body["flow_token"], **granted})
    is_refused(answer, 400, "invalid_state")
    late = begin()
    granted = provider.grant(late.body["authorization_url"], "ada")
    clock.shift(601)
    answer = Api().post(FINISH, {"flow_token": late.body["flow_token"], **granted})
    is_refused(answer, 400, "invalid_state")


@pytest.mark.parametrize("change", ["provider", "user"])
def test_a_flow_is_of_one_provider_and_one_purpose(
    begin: Login, provider: Provider, linked: Account, change: str
) -> None:
    """SOC-01: not of another provider; what was begun to link does not log in, and the other way round."""
    begun = begin()
    granted = provider.grant(begun.body["authorization_url"], "ada")
    body = {"flow_token": begun.body["flow_token"], **granted}
    if change == "provider":
        Flow.objects.update(provider="another")
        is_refused(Api().post(FINISH, body), 400, "invalid_state")
        return
    client = linked.log_in()
    assert client.post(f"social_{NAME}_link", body).code == "invalid_state"
    begun = begin(client, "link")
    granted = provider.grant(begun.body["authorization_url"], "ada")
    answer = Api().post(FINISH, {"flow_token": begun.body["flow_token"], **granted})
    assert (answer.status, answer.code) == (400, "invalid_state")


@real_transactions
def test_of_those_who_race_one_logs_in(begin: Login, provider: Provider, linked: Account) -> None:
    """SOC-01: the same code brought back many times at once makes one session."""
    begun = begin()
    granted = provider.grant(begun.body["authorization_url"], "ada")
    body = {"flow_token": begun.body["flow_token"], **granted}
    answers = at_once(*[lambda: Api().post(FINISH, body)] * 4)
    assert sorted(it.status for it in answers) == [200, 400, 400, 400]
    assert AuthSession.objects.count() == 1


@open_only
@real_transactions
def test_somebody_new_who_races_gets_one_account(begin: Login, provider: Provider) -> None:
    """SOC-04: two tabs at once: both are logged in, to the same account."""
    provider.has_user("eve", email="eve@example.com", email_verified=True)
    bodies = []
    for _ in range(3):
        begun = begin()
        granted = provider.grant(begun.body["authorization_url"], "eve")
        bodies.append({"flow_token": begun.body["flow_token"], **granted})
    answers = at_once(*[lambda body=body: Api().post(FINISH, body) for body in bodies])
    assert [it.status for it in answers] == [200] * 3
    assert USERS.count() == SocialAccount.objects.count() == EmailAddress.objects.count() == 1


@pytest.mark.parametrize(
    "uri", ["https://evil.example/", "com.example.app:/social/x", "com.example.app:/", "", "//x"]
)
def test_the_user_is_sent_back_to_a_listed_address_only(begin: Login, uri: str) -> None:
    """SOC-01: a redirect URI is one of the configuration's, to the letter."""
    answer = begin(redirect_uri=uri)
    assert answer.status == 400
    assert "redirect_uri" in answer.body["codes"]
    assert not Flow.objects.exists()


def test_the_frontend_is_where_settings_say(begin: Login, api: Api) -> None:
    answer = api.post(BEGIN, {}, Host="localhost")
    query = parse_qs(urlsplit(answer.body["authorization_url"]).query)
    assert query["redirect_uri"] == [frontend_link(f"social/{NAME}")]


def test_who_is_refused_by_the_provider_is_told(begin: Login, linked: Account) -> None:
    begun = begin()
    state = parse_qs(urlsplit(begun.body["authorization_url"]).query)["state"][0]
    body = {"flow_token": begun.body["flow_token"], "state": state, "error": "access_denied"}
    is_refused(Api().post(FINISH, body), 400, "provider_refused")
    assert events("authn_login_fail") == ["authn_login_fail"]
    assert not Flow.objects.exists()


# --- What the provider says ------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"key": new_key()}, id="foreign key"),
        {"algorithm": "none"},
        {"algorithm": "HS256", "key": "the-secret-of-the-client-as-a-key"},
        {"claims": {"aud": "another-client"}},
        {"claims": {"aud": ["the-client", "another-client"]}},
        {"claims": {"azp": "another-client"}},
        {"claims": {"iss": "https://another.example"}},
        {"claims": {"nonce": "another"}},
        {"claims": {"nonce": None}},
        {"claims": {"exp": 1}},
        {"claims": {"exp": None}},
        {"claims": {"iat": 9_999_999_999}},
        {"claims": {"sub": None}},
        {"claims": {"sub": 5}},
        {"headers": {"kid": "another"}},
        {"no_id_token": True},
    ],
    # pytest-xdist wants the same names in every process.
    ids=json.dumps,
)
def test_an_id_token_that_proves_nothing_is_refused(
    provider: Provider, finish: Login, linked: Account, wrong: dict[str, Any]
) -> None:
    """SOC-03: bad signature, alg none or symmetric, wrong aud, azp, iss or nonce, expired: 400."""
    for name, value in wrong.items():
        setattr(provider.wrong, name, value)
    is_refused(finish(), 400, "invalid_id_token")
    assert events("authn_login_fail") == ["authn_login_fail"]


def test_the_same_sub_of_another_issuer_is_somebody_else(
    provider: Provider, finish: Login, linked: Account
) -> None:
    """SOC-03, SOC-04: an account is known by its issuer and its `sub` there."""
    SocialAccount.objects.update(provider="https://another.example")
    answer = finish()
    assert answer.status in ({200} if IS_OPEN else {403})
    if IS_OPEN:
        assert answer.body["user"]["pk"] != str(linked.user.pk)


def test_the_userinfo_is_of_the_same_user(
    provider: Provider, finish: Login, linked: Account
) -> None:
    """SOC-03: what is fetched with the access token counts for the `sub` of the id_token alone."""
    provider.wrong.claims = {"email": None}
    assert finish().status == 200
    AuthSession.objects.all().delete()
    provider.wrong.userinfo = {"sub": "somebody else"}
    is_refused(finish(), 400, "invalid_id_token")


def test_addresses_and_names_may_change(
    provider: Provider, finish: Login, linked: Account, other_account: Account
) -> None:
    """SOC-04: neither makes somebody another user: CVE-2025-65431."""
    changed = {"email": other_account.user.email, "preferred_username": other_account.user.username}
    provider.has_user("ada", **changed, email_verified=True)
    assert finish().body["user"]["pk"] == str(linked.user.pk)
    linked.user.refresh_from_db()
    assert linked.user.email != other_account.user.email


VERIFIED_ADDRESS = [True, "true"]
UNVERIFIED_ADDRESS = [False, "false", None, 1, "yes"]


@pytest.mark.parametrize("says", VERIFIED_ADDRESS)
def test_an_address_that_both_sides_verified_links(
    provider: Provider, finish: Login, account: Account, mailbox: list[Any], says: Any
) -> None:
    """SOC-05: its owner could set a password by mail as well; told by mail, audited, once."""
    provider.has_user("ada", email=account.user.email.upper(), email_verified=says)
    first, second = finish(), finish()
    assert first.body["user"]["pk"] == second.body["user"]["pk"] == str(account.user.pk)
    assert events() == ["user_social_linked"]
    (mail,) = (it for it in mailbox if "provider" in it.subject)
    assert mail.to == [account.user.email]
    assert account.log_in().is_alive


@pytest.mark.parametrize("says", UNVERIFIED_ADDRESS)
def test_an_address_that_the_provider_did_not_verify_is_nobodys(
    provider: Provider, finish: Login, make_account: Any, says: Any
) -> None:
    """SOC-05: it neither links nor registers, and the answer does not tell whether it has an account."""
    known = make_account().user.email
    answers = []
    for sub, email in {"ada": known, "eve": "nobody@example.com"}.items():
        provider.has_user(sub, email=email, **({} if says is None else {"email_verified": says}))
        answers.append(finish(sub))
    assert len({(it.status, it.code) for it in answers}) == 1
    assert not SocialAccount.objects.filter(user__email=known).exists()
    assert USERS.filter(email="nobody@example.com").count() == 0
    if not IS_OPEN:
        assert answers[0].code == "registration_closed"
    elif "email*" in django_settings.ACCOUNT_SIGNUP_FIELDS:
        assert (answers[0].status, answers[0].code) == (400, "email_not_verified")
    else:
        assert {it.body["user"]["email"] for it in answers} == {None}


def test_who_names_an_address_says_whether_it_is_verified(
    provider: Provider, finish: Login, account: Account
) -> None:
    """SOC-05: the id_token does not vouch for an address that only the userinfo has."""
    provider.has_user("ada", email=account.user.email, email_verified=False)
    provider.wrong.claims = {"email": None, "email_verified": True}
    finish()
    assert not SocialAccount.objects.filter(user=account.user).exists()


def test_an_account_in_wait_for_its_owner_gets_nobody(
    provider: Provider, finish: Login, make_account: Any
) -> None:
    """SOC-05: the address was verified by the provider, never here: 409, to log in and link; no takeover."""
    waiting = make_account(verified=False, last_login=timezone.now())
    provider.has_user("ada", email=waiting.user.email, email_verified=True)
    is_refused(finish(), 409, "account_exists")
    assert not SocialAccount.objects.exists()


@open_only
@pytest.mark.skipif(policy.EMAIL_VERIFICATION != "mandatory", reason="it owns the address")
def test_a_registration_that_was_never_verified_gives_way(
    provider: Provider, finish: Login
) -> None:
    """SOC-05: who registered a foreign address owns neither it nor what becomes of it."""
    body = registration()
    assert Api().post("rest_register", body).status == 201
    waiting = USERS.get()
    provider.has_user("ada", email=body["email"], email_verified=True)
    answer = finish()
    assert answer.status == 200, answer.body
    assert answer.body["user"]["pk"] != str(waiting.pk)
    assert not USERS.filter(pk=waiting.pk).exists()
    assert not USERS.get().has_usable_password()


@pytest.mark.skipif(IS_OPEN, reason="anybody registers by the policy")
def test_nobody_new_comes_in_where_registration_is_not_open(
    provider: Provider, finish: Login
) -> None:
    provider.has_user("new", email="new@example.com", email_verified=True)
    is_refused(finish("new"), 403, "registration_closed")
    assert not USERS.exists()


def test_an_answer_of_another_provider_is_refused(
    provider: Provider, finish: Login, linked: Account
) -> None:
    """SOC-06: `iss` in the redirect (RFC 9207) is compared, and demanded of who announces it."""
    is_refused(finish(iss="https://another.example"), 400, "invalid_issuer")
    provider.wrong.discovery = {"authorization_response_iss_parameter_supported": True}
    is_refused(finish(), 400, "invalid_issuer")
    assert finish(iss=provider.issuer).status == 200


def test_a_discovered_issuer_must_be_the_configured_one(begin: Login, provider: Provider) -> None:
    """SOC-06: whoever describes another provider's endpoints is not asked any further."""
    provider.wrong.discovery = {"issuer": "https://another.example"}
    is_refused(begin(), 503, "provider_unavailable")
    assert not Flow.objects.exists()


@pytest.mark.parametrize("name", ["access_token", "id_token"])
def test_a_providers_token_logs_nobody_in(
    begin: Login, provider: Provider, linked: Account, name: str
) -> None:
    """SOC-07: a client brings codes of its own flow; a token may be one of any other application."""
    begun = begin()
    provider.seen.clear()
    state = parse_qs(urlsplit(begun.body["authorization_url"]).query)["state"][0]
    token = jwt.encode({"sub": "ada", "aud": "another"}, "x" * 32)
    answer = Api().post(FINISH, {name: token})
    is_refused(answer, 400, "required")
    body = {"flow_token": begun.body["flow_token"], "state": state, name: token}
    is_refused(Api().post(FINISH, body), 400, "required")
    assert provider.seen == []


# --- The gates ---------------------------------------------------------------------------------


def test_a_deactivated_user_is_refused_like_a_wrong_password(
    finish: Login, linked: Account
) -> None:
    """SOC-08: by the one function that starts sessions."""
    linked.user.is_active = False
    linked.user.save()
    is_refused(finish(), 400, "invalid_credentials")


def test_a_deactivated_user_is_not_linked(
    provider: Provider, finish: Login, account: Account
) -> None:
    """SOC-08: nor is one told from a wrong password."""
    provider.has_user("ada", email=account.user.email, email_verified=True)
    account.user.is_active = False
    account.user.save()
    is_refused(finish(), 400, "invalid_credentials")
    assert not SocialAccount.objects.exists()


@pytest.mark.skipif(policy.EMAIL_VERIFICATION != "mandatory", reason="nobody need verify")
def test_an_unverified_user_is_refused(finish: Login, linked: Account) -> None:
    """SOC-08: where the address must be verified, a link made before that does not replace it."""
    EmailAddress.objects.update(verified=False)
    is_refused(finish(), 400, "email_not_verified")


def ask(session: AuthSession, request: Any) -> None:
    assert session.amr == ["fed"]
    raise Captcha


def test_a_gate_is_asked_like_at_any_login(finish: Login, linked: Account, settings: Any) -> None:
    """SOC-08: no provider is a way round; a login that needs one more step, as a second factor, goes on with it."""
    settings.SESSION_GATES = [f"{__name__}.ask"]
    answer = finish()
    assert (answer.status, answer.body) == (200, {"captcha_required": True})
    assert not answer.cookies
    assert not AuthSession.objects.exists()


def test_the_session_is_one_like_others(finish: Login, linked: Account, api: Api) -> None:
    """SOC-08: it is listed, audited, refreshed and ended like any; by cookies where these were asked for."""
    client = api.with_tokens_of(finish())
    (listed,) = client.get("session_list").body
    assert (listed["amr"], listed["current"]) == (["fed"], True)
    assert events("authn_login") == ["authn_login_success"]
    client = client.refreshed()
    assert client.post("rest_logout").status == 200
    assert not client.is_alive


@pytest.mark.parametrize("name", [BEGIN, FINISH])
def test_each_step_is_limited(
    api: Api, provider: Provider, settings: Any, name: str, clock: Any
) -> None:
    """SOC-08: 429 with Retry-After before the provider is asked."""
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "social": "2/m/ip"}
    forget_uses()
    answers = [api.post(name, {"state": "x", "flow_token": "x"}) for _ in range(3)]
    assert answers[2].status == 429
    assert "Retry-After" in answers[2].headers


# --- The provider away -------------------------------------------------------------------------


def html(status: int = 200) -> Response:
    return Response("<html>", status, content_type="text/html")


AWAY: dict[str, Callable[[], Response]] = {
    "500": lambda: html(500),
    "503": lambda: html(503),
    "429": lambda: html(429),
    "redirect": lambda: Response("", 302, {"Location": "/elsewhere"}),
    "text": lambda: html(),
    "list": lambda: Provider.json([]),
    "empty": lambda: Provider.json({}),
    "null": lambda: Provider.json(None),
}


@pytest.mark.parametrize("kind", AWAY)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/oauth2/token", "/jwks"])
def test_a_provider_that_is_out_of_order_is_told_apart(
    provider: Provider, begin: Login, linked: Account, path: str, kind: str
) -> None:
    """SOC-09: 503 with Retry-After, or 400 where it merely says no; no redirect is followed."""
    begun = begin()
    granted = provider.grant(begun.body["authorization_url"], "ada")
    provider.wrong.answers[path] = AWAY[kind]()
    answer = Api().post(FINISH, {"flow_token": begun.body["flow_token"], **granted})
    if path == "/oauth2/token" and kind in {"text", "list", "empty", "null"}:
        assert (answer.status, answer.code) == (400, "invalid_code")
    elif path == "/jwks" and kind == "empty":
        assert (answer.status, answer.code) == (400, "invalid_id_token")
    else:
        assert (answer.status, answer.code) == (503, "provider_unavailable")
        assert "Retry-After" in answer.headers
    assert "Traceback" not in json.dumps(answer.body)
    assert "/elsewhere" not in [seen for seen, _ in provider.seen]
    assert not AuthSession.objects.exists()


def test_a_silent_provider_is_waited_for_so_long(
    provider: Provider, begin: Login, settings: Any
) -> None:
    """SOC-09: SOCIALACCOUNT_REQUESTS_TIMEOUT bounds each request."""
    assert settings.SOCIALACCOUNT_REQUESTS_TIMEOUT == 5
    settings.SOCIALACCOUNT_REQUESTS_TIMEOUT = 0.1
    provider.wrong.seconds = 0.5
    is_refused(begin(), 503, "provider_unavailable")


def drip(connection: socket.socket, begun: bytes) -> None:
    """Answer by a byte now and then, for as long as somebody listens, but for ten seconds at most."""
    connection.recv(65536)
    connection.sendall(begun)
    for _ in range(200):
        time.sleep(0.05)
        connection.sendall(b"a")


def pour(connection: socket.socket, begun: bytes) -> None:
    connection.recv(65536)
    connection.sendall(begun + b"a" * 2_000_000)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENDLESS: dict[str, tuple[Callable[[socket.socket, bytes], None], bytes]] = {
    "headers": (drip, b"HTTP/1.1 200 OK\r\nX-Header: "),
    "body": (drip, OK + b'Content-Length: 100000\r\n\r\n"'),
    "body without a length": (drip, OK + b'\r\n"'),
    "much": (pour, OK + b'Content-Length: 2000000\r\n\r\n"'),
    "chunks": (pour, OK + b"Transfer-Encoding: chunked\r\n\r\n1E8480\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_without_end_is_cut_off(
    kind: str, provider: Provider, begin: Login, settings: Any, caplog: Any
) -> None:
    """SOC-09: SOCIAL_SECONDS bounds all of a step, SOCIAL_ANSWER_BYTES an answer; no thread is left waiting."""
    assert settings.SOCIAL_SECONDS == 10
    settings.SOCIAL_SECONDS = 0.5
    answer, begun = ENDLESS[kind]
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _peer = listener.accept()
            with connection, suppress(OSError):  # the other side has hung up
                answer(connection, begun)

        server = threading.Thread(target=serve)
        server.start()
        app, at = app_of(provider), f"http://127.0.0.1:{listener.getsockname()[1]}/"
        app["settings"] = {**app["settings"], "server_url": at}
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
        start = time.monotonic()
        is_refused(begin(), 503, "provider_unavailable")
        assert time.monotonic() - start < 5
        server.join(5)
    assert "does not answer" in caplog.text  # not read, and found to be no JSON
    until = time.monotonic() + 5  # a timer that was called off ends a moment later
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= threads


def test_all_requests_of_a_step_have_one_time(
    provider: Provider, begin: Login, linked: Account, settings: Any
) -> None:
    """SOC-09: each answers in time, all of them do not."""
    begun = begin()
    granted = provider.grant(begun.body["authorization_url"], "ada")
    provider.wrong.seconds, settings.SOCIAL_SECONDS = 0.3, 0.5
    answer = Api().post(FINISH, {"flow_token": begun.body["flow_token"], **granted})
    is_refused(answer, 503, "provider_unavailable")


def test_a_provider_that_is_gone(provider: Provider, begin: Login, settings: Any) -> None:
    """SOC-09: nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = app_of(provider)
    app["settings"] = {**app["settings"], "server_url": f"{gone}/.well-known/openid-configuration"}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    is_refused(begin(), 503, "provider_unavailable")


def test_a_provider_without_credentials_is_not_there(
    provider: Provider, begin: Login, settings: Any
) -> None:
    for app in (app_of(provider, client_id=""), app_of(provider, secret="")):
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
        is_refused(begin(), 404, "provider_not_configured")
    assert not provider.seen


@pytest.mark.parametrize("claim", ["sub", "given_name"])
def test_what_no_database_stores_is_refused(
    provider: Provider, finish: Login, linked: Account, claim: str
) -> None:
    """SOC-09: NUL: 503, and nothing is stored."""
    provider.wrong.claims = {claim: "a\0b"}
    is_refused(finish(), 503, "provider_unavailable")


def test_an_id_may_be_as_long_as_the_standard_has_it(
    account: Account, provider: Provider, finish: Login, api: Api
) -> None:
    """SOC-14: 255 characters, each of which counts; a longer one is no valid id_token."""
    client = account.log_in()
    provider.has_user("ada", email="ada@elsewhere.example", email_verified=False)
    provider.wrong.claims = {"sub": "x" * 255}
    assert finish(client=client, step="link").status == 200
    answer = finish()
    assert (answer.status, answer.body["user"]["pk"]) == (200, str(account.user.pk))
    (uid,) = SocialAccount.objects.values_list("uid", flat=True)
    for other in ("x" * 254 + "y", "x" * 191, uid):
        provider.wrong.claims = {"sub": other}
        answer = finish()
        assert answer.status != 200 or answer.body["user"]["pk"] != str(account.user.pk)
    AuthSession.objects.all().delete()
    provider.wrong.claims = {"sub": "x" * 256}
    is_refused(finish(), 400, "invalid_id_token")


@open_only
def test_a_profile_is_taken_as_far_as_it_is_text(provider: Provider, finish: Login) -> None:
    """SOC-09: nothing that a provider says of a user is a 500."""
    profile = {"given_name": ["Ada"], "family_name": {}, "name": 5, "preferred_username": True}
    provider.has_user("eve", email="eve@example.com", email_verified=True, **profile)
    answer = finish("eve")
    assert answer.status == 200, answer.body
    assert (answer.body["user"]["first_name"], answer.body["user"]["last_name"]) == ("", "")
    long = {"given_name": "x" * 500, "family_name": "y" * 500}
    provider.has_user("bob", email="bob@example.com", email_verified=True, **long)
    assert len(finish("bob").body["user"]["first_name"]) == 150


# --- Linking and unlinking ---------------------------------------------------------------------


def test_a_user_links_sees_and_unlinks(
    account: Account, provider: Provider, finish: Login, mailbox: list[Any], api: Api
) -> None:
    """SOC-10: each is audited and mailed; afterwards the provider's account logs in, or no longer."""
    provider.has_user("ada", email="ada@elsewhere.example", email_verified=False)
    client = account.log_in()
    answer = finish(client=client, step="link")
    assert answer.status == 200, answer.body
    assert set(answer.body) == {"provider", "uid", "last_login", "date_joined"}
    assert (answer.body["provider"], answer.body["uid"]) == (NAME, "ada")
    assert finish(client=client, step="link").body == answer.body
    assert client.get("social_account_list").body == [answer.body]
    assert finish().body["user"]["pk"] == str(account.user.pk)
    exported = client.get("user_export").body["other"]["social_accounts"]
    assert [it["uid"] for it in exported] == ["ada"]
    assert client.delete(f"social_{NAME}_link").status == 204
    assert client.delete(f"social_{NAME}_link").status == 404
    assert client.get("social_account_list").body == []
    assert events() == ["user_social_linked", "user_social_unlinked"]
    told = [it for it in mailbox if "provider" in it.subject]
    assert [it.to for it in told] == [[account.user.email]] * 2
    assert NAME in told[0].body
    assert finish().status != 200 or IS_OPEN


def test_linking_and_unlinking_need_a_recent_login(
    linked: Account, begin: Login, provider: Provider, clock: Any
) -> None:
    """SOC-10: 403 for a session that is older, and 401 for nobody, at each step."""
    client = linked.log_in()
    begun = begin(client, "link")
    granted = provider.grant(begun.body["authorization_url"], "ada")
    body = {"flow_token": begun.body["flow_token"], **granted}
    clock.shift(policy.REAUTHENTICATION_MINUTES * 60 + 1)
    client = client.refreshed()  # which is no login
    steps: list[tuple[str, str, Any]] = [
        ("POST", f"social_{NAME}_link_begin", {}),
        ("POST", f"social_{NAME}_link", body),
        ("DELETE", f"social_{NAME}_link", None),
    ]
    for method, name, sent in steps:
        assert client.request(method, name, sent).code == "reauthentication_required"
        assert Api().request(method, name, sent).status == 401
    assert client.get("social_account_list").status == 200
    assert client.post("reauthenticate", {"password": linked.password}).status == 200
    assert client.delete(f"social_{NAME}_link").status == 204


def test_the_last_way_in_cannot_be_removed(
    linked: Account, finish: Login, api: Api, provider: Provider
) -> None:
    """SOC-10: without a password one linked account stays; with another one, or a password, it may go."""
    linked.user.set_unusable_password()
    linked.user.save()
    client = api.with_tokens_of(finish())
    answer = client.delete(f"social_{NAME}_link")
    assert (answer.status, answer.code) == (400, "last_login_method")
    SocialAccount.objects.create(user=linked.user, provider="https://another.example", uid="1")
    assert client.delete(f"social_{NAME}_link").status == 204
    assert [it.provider for it in SocialAccount.objects.all()] == ["https://another.example"]


def is_not_in(account: Account, answer: Answer) -> bool:
    """The identity is somebody new, or nobody."""
    return answer.status != 200 or answer.body["user"]["pk"] != str(account.user.pk)


def test_what_was_unlinked_stays_so(
    account: Account, provider: Provider, finish: Login, api: Api
) -> None:
    """SOC-13: whoever has the same verified address there logs in and links, as with any foreign account.

    The sessions that it began have ended, also the one that unlinked it.
    """
    provider.has_user("ada", email=account.user.email, email_verified=True)
    client, by_provider, unlinking = (
        account.log_in(),
        *map(api.with_tokens_of, (finish(), finish())),
    )
    assert unlinking.delete(f"social_{NAME}_link").status == 204
    assert [it.is_alive for it in (client, by_provider, unlinking)] == [True, False, False]
    exported = client.get("user_export").body["other"]
    assert exported["social_accounts"] == []
    assert exported["unlinked_social_accounts"] == [{"provider": provider.issuer, "uid": "ada"}]
    for _ in range(2):
        answer = finish()
        assert (answer.status, answer.code) == (409, "account_exists")
    assert not SocialAccount.objects.exists()
    assert finish(client=client, step="link").status == 200
    assert finish().body["user"]["pk"] == str(account.user.pk)


@admin_is_here
def test_what_an_administrator_unlinked_stays_so(
    account: Account, make_account: Any, provider: Provider, finish: Login, api: Api
) -> None:
    """SOC-13: by one row and by the action for several."""
    provider.has_user("ada", email=account.user.email, email_verified=True)
    browser = Client()
    browser.force_login(make_account(is_staff=True, is_superuser=True).user)
    for by in ("row", "action"):
        Unlinked.objects.all().delete()
        client = api.with_tokens_of(finish())
        pk = SocialAccount.objects.get().pk
        if by == "row":
            url = reverse("admin:socialaccount_socialaccount_delete", args=[pk])
            sent: dict[str, Any] = {"post": "yes"}
        else:
            url = reverse("admin:socialaccount_socialaccount_changelist")
            sent = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
        assert browser.post(url, sent).status_code == 302
        assert not client.is_alive
        answer = finish()
        assert (answer.status, answer.code) == (409, "account_exists")


def by_a_reset(account: Account, client: Api, mailbox: list[Any]) -> None:
    Api().post("rest_password_reset", {"email": account.user.email})
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    body = {**link_secrets(mailbox[-1]), **new}
    assert Api().post("rest_password_reset_confirm", body).status == 200


def by_an_undoing(account: Account, client: Api, mailbox: list[Any]) -> None:
    """Take back a change of address that was made before."""
    assert Api().post("email_change_undo", link_secrets(mailbox[-1])).status == 200


def by_an_operator(account: Account, client: Api, mailbox: list[Any]) -> None:
    call_command("resetpasswords", user=str(account.user.pk), stdout=io.StringIO())


def by_logging_out(account: Account, client: Api, mailbox: list[Any]) -> None:
    assert client.post("logout_all").status == 200


def by_deactivating(account: Account, client: Api, mailbox: list[Any]) -> None:
    USERS.filter(pk=account.user.pk).update(is_active=False)


ENDS = [by_a_reset, by_an_undoing, by_an_operator, by_logging_out, by_deactivating]


@real_transactions
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_link_in_flight_ends_with_its_session(
    account: Account, provider: Provider, begin: Login, finish: Login, mailbox: list[Any], end: Any
) -> None:
    """SOC-12: what the provider grants after that links nothing, and logs nobody in."""
    client = account.log_in()
    if end is by_an_undoing:
        assert client.post("email_change", {"email": "thief@example.com"}).status == 200
        assert Api().post("email_change_confirm", link_secrets(mailbox[-1])).status == 200
    provider.has_user("eve", email="eve@example.com", email_verified=True)
    begun = begin(client, "link")
    granted = provider.grant(begun.body["authorization_url"], "eve")
    body = {"flow_token": begun.body["flow_token"], **granted}
    provider.wrong.until = threading.Event()
    provider.seen.clear()

    def meanwhile() -> None:
        until = time.monotonic() + 5
        while "/jwks" not in [path for path, _ in provider.seen] and time.monotonic() < until:
            time.sleep(0.01)
        end(account, client, mailbox)
        assert provider.wrong.until
        provider.wrong.until.set()

    answer, _ = at_once(lambda: client.post(f"social_{NAME}_link", body), meanwhile)
    assert (answer.status, answer.code) == (401, "session_revoked")
    assert not SocialAccount.objects.exists()
    assert is_not_in(account, finish("eve"))


def test_a_login_in_flight_ends_with_its_link(
    linked: Account, finish: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SOC-12: unlinked after the identity was recognised, and before the session begins."""
    client = linked.log_in()

    def after_unlinking(*args: Any, **kwargs: Any) -> Any:
        assert client.delete(f"social_{NAME}_link").status == 204
        return log_in(*args, **kwargs)

    monkeypatch.setattr(views, "log_in", after_unlinking)
    answer = finish()
    assert (answer.status, answer.code) == (400, "invalid_credentials")
    assert AuthSession.objects.count() == 1
    assert events("authn_login_fail") == ["authn_login_fail"]


def test_somebody_elses_account_is_neither_seen_nor_unlinked_nor_linked(
    linked: Account, other_account: Account, finish: Login
) -> None:
    """SOC-10: 404 as if missing; what is linked to somebody else is 409."""
    client = other_account.log_in()
    assert client.get("social_account_list").body == []
    assert client.delete(f"social_{NAME}_link").status == 404
    answer = finish(client=client, step="link")
    assert (answer.status, answer.code) == (409, "already_linked")
    assert SocialAccount.objects.get().user == linked.user


def test_a_link_is_of_the_user_who_began_it(
    account: Account, other_account: Account, begin: Login, provider: Provider
) -> None:
    """SOC-01: another user's session does not finish it."""
    begun = begin(account.log_in(), "link")
    granted = provider.grant(begun.body["authorization_url"], "ada")
    body = {"flow_token": begun.body["flow_token"], **granted}
    answer = other_account.log_in().post(f"social_{NAME}_link", body)
    assert (answer.status, answer.code) == (400, "invalid_state")
    assert not SocialAccount.objects.exists()


@real_transactions
def test_of_two_users_who_link_the_same_one_does(
    make_account: Any, begin: Login, provider: Provider
) -> None:
    """SOC-10: an identity is one user's, whoever races; no 5xx."""
    bodies = []
    for _ in range(2):
        client = make_account().log_in()
        begun = begin(client, "link")
        granted = provider.grant(begun.body["authorization_url"], "ada")
        bodies.append((client, {"flow_token": begun.body["flow_token"], **granted}))
    jobs = [lambda c=c, b=b: c.post(f"social_{NAME}_link", b) for c, b in bodies]
    assert sorted(it.status for it in at_once(*jobs)) == [200, 409]
    assert SocialAccount.objects.count() == 1


def test_a_recovery_by_mail_ends_what_a_thief_linked(
    linked: Account, provider: Provider, finish: Login, mailbox: list[Any]
) -> None:
    """SOC-10, SOC-13: all is unlinked, and stays so; another one of the owner's address links itself."""
    by_a_reset(linked, Api(), mailbox)
    assert not SocialAccount.objects.exists()
    assert "user_social_unlinked" in events()
    provider.has_user("ada", email=linked.user.email, email_verified=True)
    assert finish("ada").code == "account_exists"
    provider.has_user("owner", email=linked.user.email, email_verified=True)
    assert finish("owner").body["user"]["pk"] == str(linked.user.pk)


@admin_is_here
def test_a_former_address_of_an_account_logs_nobody_in(
    account: Account, make_account: Any, provider: Provider, finish: Login
) -> None:
    """After an operator has corrected it, at a provider, too."""
    former = account.user.email
    admin = Client()
    admin.force_login(make_account(is_staff=True, is_superuser=True).user)
    page = reverse("admin:users_user_change", args=[account.user.pk])
    form = {"username": account.user.username or "", "email": "corrected@example.com"}
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert admin.post(page, {**form, **joined, "is_active": "on"}).status_code == 302
    provider.has_user("thief", email=former, email_verified=True)
    answer = finish("thief")
    assert (answer.body.get("user") or {}).get("pk") != str(account.user.pk)
    assert not SocialAccount.objects.filter(user=account.user).exists()


# --- Secrets -----------------------------------------------------------------------------------


def test_nothing_of_the_provider_is_stored_but_the_id(
    finish: Login, linked: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """SOC-11: no token, no profile; no secret of a flow in the log."""
    assert finish().status == 200
    assert not SocialToken.objects.exists()
    assert not Flow.objects.exists()
    assert SocialAccount.objects.get().extra_data == {}
    assert "code_verifier" not in caplog.text
    assert fragment.SOCIALACCOUNT_STORE_TOKENS is False


def test_secrets_of_clients_are_of_the_environment_alone(
    finish: Login, linked: Account, provider: Provider
) -> None:
    """SOC-11: those in the database are not used, and cannot be seen or made in the admin."""
    SocialApp.objects.create(
        provider="openid_connect", provider_id=provider.issuer, client_id="x", secret="x", name="x"
    )
    assert finish().status == 200
    assert not {SocialApp, SocialToken} & {*admin.site._registry}


@admin_is_here
def test_an_administrator_sees_and_unlinks_but_hands_nothing_over(
    linked: Account, make_account: Any
) -> None:
    """SOC-04: whose an identity is nobody changes by hand."""
    browser = Client()
    browser.force_login(make_account(is_staff=True, is_superuser=True).user)
    account = SocialAccount.objects.get()
    listed = browser.get(reverse("admin:socialaccount_socialaccount_changelist"))
    assert "ada" in listed.content.decode()
    change = reverse("admin:socialaccount_socialaccount_change", args=[account.pk])
    assert browser.post(change, {"uid": "eve"}).status_code == 403
    assert browser.get(reverse("admin:socialaccount_socialaccount_add")).status_code == 403
    delete = reverse("admin:socialaccount_socialaccount_delete", args=[account.pk])
    assert browser.post(delete, {"post": "yes"}).status_code == 302
    assert not SocialAccount.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", fragment.REQUIRED_IN_PRODUCTION)
def test_production_does_not_start_without_them(name: str) -> None:
    """SOC-11: one line that names what is missing."""
    refused = run("manage.py", "check", **{**PRODUCTION, name: ""})
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{name}: must be set in production")
