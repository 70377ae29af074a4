"""Talks to the providers: allauth's clients of OAuth 2.0, and checks of ours where they check less.

allauth takes an id_token that came over TLS without looking at its signature, and knows no nonce.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import requests
from allauth.socialaccount import app_settings
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import NotFound, ValidationError

from auth_core import policy
from auth_core.accounts.adapter import frontend_link
from auth_core.digests import digest
from auth_core.http.errors import Unavailable

from . import flows
from .bounds import BoundedAdapter, bounded, read_bounded
from .models import Flow

logger = logging.getLogger(__name__)

# Signed with a key that only the provider has; never by a secret that both know, and never not at all.
ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]
# What is read of them, where it is text.
CLAIMS = ("sub", "email", "preferred_username", "name", "given_name", "family_name")
# allauth reads answers without a look at their form, so these come of a provider that is out of order.
MALFORMED = (AttributeError, ImproperlyConfigured, KeyError, TypeError, ValueError)


# The longest `sub` there may be (OpenID Connect Core, 2); allauth has room for less.
SUB_LENGTH = 255
HASHED = "sha256:"


def uid_of(sub: str) -> str:
    """Return what an identity is stored by: its `sub`, or where that is too long for allauth a hash of it.

    Nobody's `sub` is another's hash: what looks like one is hashed, too.
    """
    is_stored = len(sub) <= app_settings.UID_MAX_LENGTH and not sub.startswith(HASHED)
    return sub if is_stored else f"{HASHED}{digest(sub)}"


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def list_apps(self, *args: Any, **kwargs: Any) -> list[SocialApp]:
        """Leave out those of the database: their secrets would stand there in clear."""
        return [app for app in super().list_apps(*args, **kwargs) if app.pk is None]

    def get_requests_session(self) -> requests.Session:
        """Return a client that follows no redirect, takes no error of the provider for an answer, and is bounded."""
        session = super().get_requests_session()
        session.hooks["response"] += [_refuse_failure, read_bounded]
        for scheme in ("http://", "https://"):
            session.mount(scheme, BoundedAdapter())
        return session


def _refuse_failure(response: requests.Response, *args: Any, **kwargs: Any) -> None:
    if response.is_redirect or response.status_code == 429 or response.status_code >= 500:
        response.close()  # not read yet
        raise requests.HTTPError(f"{response.status_code} from {response.url}", response=response)


class _Flow:
    """Gives allauth's adapters their provider, and the redirect URI of the flow instead of a view's."""

    def __init__(self, request: HttpRequest, provider: Any, flow: Flow, *args: Any) -> None:
        super().__init__(request, *args)  # type: ignore[call-arg]
        self.provider, self.flow = provider, flow

    def get_provider(self) -> Any:
        return self.provider

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        return self.flow.redirect_uri

    def extra_params(self) -> dict[str, str]:
        return {}

    def check_issuer(self, issuer: str | None) -> None:
        """Compare what the provider says of itself in the redirect (RFC 9207)."""


class GitHubAdapter(_Flow, GitHubOAuth2Adapter):
    pass


class OpenIDConnectAdapter(_Flow, OpenIDConnectOAuth2Adapter):
    @property
    def openid_config(self) -> dict[str, Any]:
        """The provider's own description, if it is that of the issuer that was configured."""
        config: dict[str, Any] = super().openid_config
        if config["issuer"] != self.provider.app.settings["issuer"]:
            raise ValueError("the issuer is another one")
        return config

    def extra_params(self) -> dict[str, str]:
        return {"nonce": self.flow.nonce}

    def check_issuer(self, issuer: str | None) -> None:
        config = self.openid_config
        is_said = config.get("authorization_response_iss_parameter_supported") is True
        if issuer != config["issuer"] and (issuer or is_said):
            raise _invalid("invalid_issuer")

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any
    ) -> SocialLogin:
        claims = self._verified_claims(app, kwargs["response"].get("id_token") or "")
        if "email" not in claims and "userinfo_endpoint" in self.openid_config:
            info = self._get(self.profile_url, headers={"Authorization": f"Bearer {token.token}"})
            if info["sub"] != claims["sub"]:  # OpenID Connect Core, 5.3.2
                raise _invalid("invalid_id_token")
            claims = info  # whole: who names the address says whether it is verified
        known = {name: claims[name] for name in CLAIMS if isinstance(claims.get(name), str)}
        if b"\\u0000" in json.dumps(known, ensure_ascii=False).encode():
            raise ValueError("no database stores NUL, nor half a surrogate pair")
        known["sub"] = uid_of(claims["sub"])
        # Some say "false", which is true.
        said = claims.get("email_verified")
        known["email_verified"] = said is True or said == "true"
        return self.provider.sociallogin_from_response(request, {"id_token": known})

    def _verified_claims(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        """Verify an id_token as OpenID Connect Core, 3.1.3.7, has it, the signature included."""
        config = self.openid_config
        try:
            kid = jwt.get_unverified_header(id_token).get("kid")
            keys = jwt.PyJWKSet.from_dict(self._get(config["jwks_uri"])).keys
            key = next((it for it in keys if kid in (it.key_id, None)), None)
            if key is None:
                raise _invalid("invalid_id_token")
            claims: dict[str, Any] = jwt.decode(
                id_token,
                key,
                algorithms=ALGORITHMS,
                audience=app.client_id,
                issuer=config["issuer"],
                leeway=policy.CLOCK_SKEW_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as error:
            raise _invalid("invalid_id_token") from error
        if len(claims["sub"]) > SUB_LENGTH:
            raise _invalid("invalid_id_token")
        audience = claims["aud"]
        alone = audience in (app.client_id, [app.client_id])
        is_ours = claims.get("azp", app.client_id if alone else None) == app.client_id
        if not is_ours or not constant_time_compare(str(claims.get("nonce")), self.flow.nonce):
            raise _invalid("invalid_id_token")
        return claims

    @staticmethod
    def _get(url: str, **options: Any) -> Any:
        with get_adapter().get_requests_session() as session:
            response = session.get(url, **options)
            response.raise_for_status()
            return response.json()


ADAPTERS = {"github": GitHubAdapter, "openid_connect": OpenIDConnectAdapter}


def _all_known_as() -> dict[str, str]:
    names: dict[str, str] = settings.SOCIAL_PROVIDERS  # type: ignore[misc] # of a feature: mypy reads the kernel's
    return names


def known_as(name: str) -> str:
    """Return what accounts at a provider are known by."""
    return _all_known_as()[name]


def name_of(account: SocialAccount) -> str:
    """Return what the provider of an account is called, also where it is offered no longer."""
    names = (name for name, known in _all_known_as().items() if known == account.provider)
    return next(names, account.provider)


def redirect_uris(name: str) -> list[str]:
    """Return where a provider may send people: to the frontend, or where settings say."""
    others: list[str] = settings.SOCIAL_REDIRECT_URIS  # type: ignore[misc] # of a feature: mypy reads the kernel's
    return [frontend_link(f"social/{name}"), *others]


def _provider(name: str, request: HttpRequest) -> Any:
    """Return allauth's provider; raises NotFound where the environment has no credentials for it."""
    if known_as(name):
        provider = get_adapter(request).get_provider(request, known_as(name))
        if provider.app.client_id and provider.app.secret:
            return provider
    raise NotFound(_("This provider is not configured."), code="provider_not_configured")


def _adapter(name: str, request: HttpRequest, flow: Flow) -> Any:
    provider = _provider(name, request)
    more = (provider.sub_id,) if provider.id == "openid_connect" else ()
    return ADAPTERS[provider.id](request, provider, flow, *more)


def authorization_url(
    name: str, request: HttpRequest, redirect_uri: str, user: Any = None
) -> tuple[str, str]:
    """Begin a flow: return where to send the user, and the flow token for the client to keep.

    Raises Unavailable (503) with the code `provider_unavailable`, NotFound as `_provider`.
    """
    flow, token, challenge = flows.begin(name, redirect_uri, user)
    adapter = _adapter(name, request, flow)
    provider = adapter.get_provider()
    with _answers_of(name):
        client = adapter.get_client(request, provider.app)
        client.state = flow.state
        params = {**provider.get_auth_params(), **challenge, **adapter.extra_params()}
        url = client.get_redirect_url(adapter.authorize_url, provider.get_scope(), params)
    flow.save(force_insert=True)
    return url, token


def exchange(
    name: str, request: HttpRequest, flow: Flow, code: str, issuer: str | None
) -> SocialLogin:
    """Exchange an authorization code for who it is that granted it, unsaved; their tokens are dropped.

    Raises ValidationError (400) with the code `invalid_code`, `invalid_id_token` or `invalid_issuer`;
    Unavailable and NotFound as `authorization_url`.
    """
    adapter = _adapter(name, request, flow)
    app = adapter.get_provider().app
    with _answers_of(name):
        adapter.check_issuer(issuer)
        answer = adapter.get_client(request, app).get_access_token(code, flow.code_verifier)
        return adapter.complete_login(request, app, adapter.parse_token(answer), response=answer)


@contextmanager
def _answers_of(name: str) -> Iterator[None]:
    """Say in our words what went wrong at a provider; never repeat its answer, which may hold tokens."""
    try:
        with bounded():
            yield
    except OAuth2Error as error:
        raise _invalid("invalid_code") from error
    except requests.RequestException as error:
        logger.warning("%s does not answer: %s.", name, type(error).__name__)
        raise _unavailable() from error
    except MALFORMED as error:
        logger.error("%s is out of order: %s.", name, type(error).__name__, exc_info=error)
        raise _unavailable() from error


def _unavailable() -> Unavailable:
    return Unavailable(_("The provider does not answer."), code="provider_unavailable")


MESSAGES = {
    "invalid_code": _("The provider does not accept the code."),
    "invalid_id_token": _("What the provider says of the user cannot be trusted."),
    "invalid_issuer": _("The answer is of another provider."),
}


def _invalid(code: str) -> ValidationError:
    return ValidationError({"non_field_errors": [MESSAGES[code]]}, code=code)
