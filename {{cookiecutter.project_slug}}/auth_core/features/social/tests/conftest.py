"""A provider, and this project as its client."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from auth_core import policy
from auth_core.testing import Answer, Api

from .testing import CLIENT_ID, CLIENT_SECRET, Misbehaviour, Provider, running

# Whichever was chosen stands for all: in its place is the provider on loopback.
NAME = policy.SOCIAL_PROVIDERS.split(",")[0]


@pytest.fixture(scope="session")
def _provider() -> Iterator[Provider]:
    with running() as provider:
        yield provider


def app_of(provider: Provider, **changes: Any) -> dict[str, Any]:
    """One of SOCIALACCOUNT_PROVIDERS' apps: this project as the provider knows it."""
    return {
        "provider_id": provider.issuer,
        "client_id": CLIENT_ID,
        "secret": CLIENT_SECRET,
        "settings": {
            "issuer": provider.issuer,
            "server_url": f"{provider.issuer}/.well-known/openid-configuration",
        },
        **changes,
    }


@pytest.fixture
def provider(_provider: Provider, settings: Any, db: Any) -> Provider:
    _provider.wrong = Misbehaviour()
    _provider.seen.clear()
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app_of(_provider)]}}
    settings.SOCIAL_PROVIDERS = {NAME: _provider.issuer}
    settings.SOCIAL_REDIRECT_URIS = ["com.example.app:/social"]
    return _provider


Login = Callable[..., Answer]


@pytest.fixture
def begin(provider: Provider) -> Login:
    """Begin a flow; the answer's body has the URL and the token."""

    def begin(client: Api | None = None, step: str = "login", **body: Any) -> Answer:
        body.setdefault("redirect_uri", "com.example.app:/social")
        return (client or Api()).post(f"social_{NAME}_{step}_begin", body)

    return begin


@pytest.fixture
def finish(provider: Provider, begin: Login) -> Login:
    """Go the whole way as a user of the provider; `changes` replace what is brought back."""

    def finish(
        sub: str = "ada", client: Api | None = None, step: str = "login", **changes: Any
    ) -> Answer:
        begun = begin(client, step)
        granted = provider.grant(begun.body["authorization_url"], sub)
        body = {"flow_token": begun.body["flow_token"], **granted, **changes}
        return (client or Api()).post(
            f"social_{NAME}_{step}", {k: v for k, v in body.items() if v is not None}
        )

    return finish
