"""What stands around the API: health, documents, admin, errors."""

import json
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from auth_core import policy
from auth_core.testing import PASSWORD, Api

pytestmark = pytest.mark.django_db


def test_health(api: Api) -> None:
    assert api.get("health_live").body == {"status": "ok"}
    assert api.get("health_ready").body == {"status": "ok", "database": True}


def test_the_schema_lists_the_endpoints_at_their_prefixes(api: Api) -> None:
    paths = Client().get(reverse("schema"), {"format": "json"}).json()["paths"]
    assert f"/{policy.AUTH_URL_PREFIX}/login/" in paths
    assert f"/{policy.REFRESH_URL}/" in paths


@pytest.mark.parametrize(
    ("name", "script"), [("docs", "swagger-ui"), ("redoc", "redoc.standalone")]
)
def test_the_documents_are_served_without_other_hosts(
    client: Client, name: str, script: str
) -> None:
    page = client.get(reverse(name)).content.decode()
    assert script in page
    assert "//" not in page
    assert "<script>" not in page


@pytest.mark.skipif(not django_settings.ADMIN_PATH, reason="the admin is switched off")
def test_an_administrator_logs_in_and_sees_users_and_sessions(
    client: Client, settings: Any
) -> None:
    settings.ADMIN_NETWORKS = []
    get_user_model().objects.create_superuser(
        username="admin", email="admin@example.com", password=PASSWORD
    )
    name = "admin@example.com" if policy.LOGIN_WITH == "email" else "admin"
    login = client.post(reverse("admin:login"), {"username": name, "password": PASSWORD})
    assert login.status_code == 302
    for page in (
        "admin:index",
        "admin:users_user_changelist",
        "admin:users_user_add",
        "admin:auth_sessions_authsession_changelist",
    ):
        assert client.get(reverse(page)).status_code == 200


def test_an_administrator_can_use_the_api(api: Api) -> None:
    get_user_model().objects.create_superuser(
        username="admin", email="admin@example.com", password=PASSWORD
    )
    name = {"email": "admin@example.com"} if policy.LOGIN_WITH == "email" else {"username": "admin"}
    assert api.post("rest_login", {**name, "password": PASSWORD}).status == 200


def test_a_missing_slash_is_told(api: Api) -> None:
    answer = api.post(reverse("rest_login").rstrip("/"))
    assert (answer.status, answer.code) == (404, "not_found")
    assert reverse("rest_login") in answer.body["detail"]


@pytest.mark.parametrize("body", [[], "x", 5, None, True])
def test_a_body_that_is_no_object_is_refused(api: Api, body: Any) -> None:
    for name in ("rest_login", "rest_logout", "token_refresh", "rest_password_reset"):
        assert api.request("POST", name, json.dumps(body).encode()).status == 400


def test_every_answer_carries_a_request_id(api: Api) -> None:
    kept = api.get("/nowhere", **{"X-Request-ID": "caller-chosen-1"})
    assert kept.headers["X-Request-ID"] == kept.body["request_id"] == "caller-chosen-1"
    replaced = api.get("/nowhere", **{"X-Request-ID": 'bad"id'})
    assert len(replaced.headers["X-Request-ID"]) == 32
