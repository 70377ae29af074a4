"""The pages are there, complete, and lead to the API's own paths."""

import pytest
from django.test import Client
from django.urls import reverse

from auth_core import policy
from auth_core.accounts.adapter import frontend_link

PAGES = {
    "verify-email": "rest_verify_email",
    "forgot-password": "rest_password_reset",
    "reset-password": "rest_password_reset_confirm",
    "change-email": "email_change_confirm",
    "restore-email": "email_change_undo",
}


@pytest.mark.parametrize(("page", "endpoint"), PAGES.items())
def test_a_mailed_link_leads_to_a_page_that_talks_to_the_api(page: str, endpoint: str) -> None:
    link = frontend_link(page, key="secret")
    assert link.endswith(f"/account/{page}#key=secret")
    html = Client().get(f"/account/{page}").content.decode()
    assert f'data-endpoint="{reverse(endpoint)}"' in html
    assert "<script>" not in html
    assert "style=" not in html


@pytest.mark.skipif(policy.TOKEN_DELIVERY == "header", reason="no cookies by the policy")
def test_a_page_fetches_a_csrf_token_where_tokens_travel_in_cookies() -> None:
    html = Client().get("/account/reset-password").content.decode()
    assert f'data-csrf="{reverse("csrf")}"' in html


@pytest.mark.parametrize("page", PAGES)
def test_a_page_leads_nowhere_else(page: str) -> None:
    """A page neither redirects nor repeats what its address carries."""
    parameters = dict.fromkeys(("next", "redirect_uri", "callback", "url"), "//evil.example")
    answer = Client().get(f"/account/{page}", parameters)
    assert answer.status_code == 200
    assert b"evil" not in answer.content
