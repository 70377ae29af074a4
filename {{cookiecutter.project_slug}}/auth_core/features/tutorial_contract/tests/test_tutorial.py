"""The tutorial's four requests, word for word."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from auth_core import policy
from auth_core.sessions.models import AuthSession
from auth_core.testing import PASSWORD, Api

pytestmark = pytest.mark.django_db

REGISTRATION = f"/{policy.REGISTRATION_URL_PREFIX}/"
LOGIN = f"/{policy.AUTH_URL_PREFIX}/login/"
LOGOUT = f"/{policy.AUTH_URL_PREFIX}/logout/"
REFRESH = f"/{policy.REFRESH_URL}/"


@pytest.fixture
def token(api: Api) -> str:
    body = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD}
    if policy.LOGIN_WITH != "username":
        body["email"] = "ada@example.com"
    assert api.post(REGISTRATION, body).status == 201
    answer = api.post(LOGIN, {"username": "ada", "password": PASSWORD})
    assert answer.status == 200
    return answer.body["token"]


def test_a_token_opens_the_api_until_it_expires(api: Api, token: str, clock: Any) -> None:
    assert Api(token).is_alive
    clock.shift(policy.ACCESS_TOKEN_MINUTES * 60 + policy.CLOCK_SKEW_SECONDS + 2)
    assert not Api(token).is_alive
    assert api.post(REFRESH, {"token": token}).code == "token_expired"


def test_an_unexpired_token_is_exchanged_for_a_fresh_one(api: Api, token: str, clock: Any) -> None:
    clock.shift(policy.ACCESS_TOKEN_MINUTES * 60 - 5)
    fresh = api.post(REFRESH, {"token": token})
    assert set(fresh.body) == {"token"}
    clock.shift(60)
    assert Api(fresh.body["token"]).is_alive


def test_logout_ends_the_token(api: Api, token: str) -> None:
    assert Api(token).post(LOGOUT).status == 200
    assert not Api(token).is_alive
    assert api.post(REFRESH, {"token": token}).status == 401


def test_the_session_ends_in_any_case(api: Api, token: str, clock: Any) -> None:
    """Each exchange is in time, and none makes the session live longer."""
    step = timedelta(minutes=policy.ACCESS_TOKEN_MINUTES, seconds=-5)
    # Of a session whose days are nearly over: minutes may fit in there a hundred thousand times.
    AuthSession.objects.update(idle_expires_at=timezone.now() + 2.5 * step)
    for _ in range(3):
        answer = api.post(REFRESH, {"token": token})
        assert answer.status == 200
        token = answer.body["token"]
        clock.shift(step)
    # The last token expired with its session.
    answer = api.post(REFRESH, {"token": token})
    assert (answer.status, answer.code) == (401, "token_expired")
    assert not AuthSession.objects.live().exists()


def test_the_kernels_own_refresh_still_works(api: Api, token: str) -> None:
    pair = api.post(LOGIN, {"username": "ada", "password": PASSWORD}).body
    assert set(api.post(REFRESH, {"refresh": pair["refresh"]}).body) >= {"access", "refresh"}
    assert api.post(REFRESH, {}).status == 400
