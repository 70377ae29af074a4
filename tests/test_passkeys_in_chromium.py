"""Passkeys in a real browser: what it makes of a project's options, and that of its answers."""

import json
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from scripts.walk import PASSWORD
from tests.project import Answers, Bake
from tests.test_end_to_end import GRACE, make_admin, running

pytestmark = pytest.mark.slow

# What a frontend does: post JSON, and carry options and answers between the API and the browser.
CLIENT: Final = """
window.api = {
  access: "",
  async post(path, body = {}) {
    const headers = {"Content-Type": "application/json"};
    if (AUTH.byCookie) {
      const csrf = await fetch(`${AUTH.prefix}/csrf/`);
      headers["X-CSRF-Token"] = (await csrf.json()).csrf_token;
    } else if (this.access) {
      headers.Authorization = `Bearer ${this.access}`;
    }
    const init = {method: "POST", headers, body: JSON.stringify(body)};
    const answer = await fetch(`${AUTH.prefix}/${path}/`, init);
    const told = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${JSON.stringify(told)}`);
    this.access = told.access || this.access;
    return told;
  },
  async create(name) {
    const {flow_token, options} = await this.post("passkeys/register/begin");
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    const credential = await navigator.credentials.create({publicKey});
    const body = {flow_token, name, credential: credential.toJSON()};
    return this.post("passkeys/register/complete", body);
  },
  async get(purpose, body = {}) {
    const {flow_token, options} = await this.post(`passkeys/${purpose}/begin`, body);
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    const credential = await navigator.credentials.get({publicKey});
    const answer = {...body, flow_token, credential: credential.toJSON()};
    return this.post(`passkeys/${purpose}/complete`, answer);
  },
};
"""
# A phone or computer that has verified who holds it.
DEVICE: Final = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
NOT_ALLOWED: Final = """
async () => {
  const {options} = await api.post("passkeys/login/begin");
  const publicKey = {...PublicKeyCredential.parseRequestOptionsFromJSON(options), timeout: 500};
  try { await navigator.credentials.get({publicKey}); } catch (error) { return error.name; }
}
"""


@pytest.mark.parametrize(
    "answers",
    [{}, {"token_delivery": "cookie", "login_with": "email", "auth_url_prefix": "v1"}],
    ids=["by header", "by cookie"],
)
def test_a_user_signs_in_without_a_password(
    answers: Answers, bake: Bake, home: Path, browser: Browser
) -> None:
    """Register a passkey, then use it alone, beside the password, and to confirm who one is."""
    project = bake(mfa="totp_and_passkeys", email_verification="none", **answers)
    auth = {"prefix": f"/{project.answers['auth_url_prefix']}", "byCookie": bool(answers)}
    login = (GRACE if answers else {"username": "grace"}) | {"password": PASSWORD}
    context = browser.new_context()
    with running(project, home) as origin, context:
        make_admin(project, home)
        page = context.new_page()
        page.goto(f"{origin.replace('127.0.0.1', 'localhost')}/account/forgot-password")
        devices = context.new_cdp_session(page)
        devices.send("WebAuthn.enable")
        added = devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})

        def start_over() -> None:
            """Be nobody again: a page without cookies, and with a client that knows no token."""
            context.clear_cookies()
            page.reload()
            page.evaluate(f"window.AUTH = {json.dumps(auth)};{CLIENT}")

        start_over()
        page.evaluate("it => api.post('login', it)", login)
        made = page.evaluate("() => api.create('This computer')")
        assert made["name"] == "This computer"
        assert len(made["recovery_codes"]) == 10

        start_over()
        answer = page.evaluate("() => api.get('login')")
        assert answer["user"]["email"] == GRACE["email"]
        assert page.evaluate("() => api.get('reauthenticate')") == {"detail": "ok"}

        start_over()
        waiting = page.evaluate("it => api.post('login', it)", login)
        assert waiting["factors"] == ["webauthn"]
        step = {"ephemeral_token": waiting["ephemeral_token"]}
        answer = page.evaluate("it => api.get('verify', it)", step)
        assert answer["user"]["email"] == GRACE["email"]

        start_over()
        stranger = {"authenticatorId": added["authenticatorId"], "isUserVerified": False}
        devices.send("WebAuthn.setUserVerified", stranger)
        assert page.evaluate(NOT_ALLOWED) == "NotAllowedError"
