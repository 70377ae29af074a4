"""A real OpenID provider on loopback, that can be told to misbehave.

oidc-provider-mock grants codes and answers for users. It asks for no PKCE, so that is done here, and it never
errs: its id_tokens are signed anew, with what a test wants to be wrong.
"""

import base64
import hashlib
import json
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from werkzeug.serving import make_server
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

CLIENT_ID, CLIENT_SECRET = "the-client", "the-secret-of-the-client"


def new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Misbehaviour:
    """What a test changes for a while."""

    discovery: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: Any = None
    no_id_token: bool = False
    # Path -> what it answers instead.
    answers: dict[str, Response] = field(default_factory=dict)
    seconds: float = 0
    # What the provider waits for before it shows its keys, for some seconds at most.
    until: threading.Event | None = None


class Provider:
    """The WSGI application around the provider's own, and what a user does there."""

    def __init__(self, app: Any) -> None:
        self.app, self.key = app, new_key()
        self.issuer = ""
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.challenges: dict[str, str] = {}
        self.wrong = Misbehaviour()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = Request({**environ, "wsgi.input": BytesIO(body)})
        form = request.form.to_dict()
        environ["wsgi.input"] = BytesIO(body)
        self.seen.append((request.path, {**request.args.to_dict(), **form}))
        time.sleep(self.wrong.seconds)
        if self.wrong.until is not None and request.path == "/jwks":
            self.wrong.until.wait(5)
        return self.respond(request, form, environ)(environ, start_response)

    def respond(self, request: Request, form: dict[str, str], environ: Any) -> Response:
        if request.path in self.wrong.answers:
            return self.wrong.answers[request.path]
        if request.path == "/jwks":
            public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
            return self.json({"keys": [{**public, "kid": "1", "alg": "RS256", "use": "sig"}]})
        if request.path == "/oauth2/token" and not self.is_proved(form):
            return self.json({"error": "invalid_grant"}, 400)
        answer = Response(*run_wsgi_app(self.app, environ))
        if request.path == "/oauth2/authorize" and "Location" in answer.headers:
            query = parse_qs(urlsplit(answer.headers["Location"]).query)
            assert request.args["code_challenge_method"] == "S256"
            self.challenges[query["code"][0]] = request.args["code_challenge"]
        elif request.path == "/.well-known/openid-configuration":
            return self.json({**(answer.json or {}), **self.wrong.discovery})
        elif request.path == "/userinfo":
            return self.json({**(answer.json or {}), **self.wrong.userinfo})
        elif request.path == "/oauth2/token" and answer.status_code == 200:
            return self.json(self.signed_anew(answer.json))
        return answer

    @staticmethod
    def json(body: Any, status: int = 200) -> Response:
        return Response(json.dumps(body), status, content_type="application/json")

    def is_proved(self, form: dict[str, str]) -> bool:
        """RFC 7636, 4.6; and the client's own secret."""
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        known = (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        return known and self.challenges.get(form["code"]) == challenge

    def signed_anew(self, body: Any) -> Any:
        claims = jwt.decode(body["id_token"], options={"verify_signature": False})
        claims = {k: v for k, v in {**claims, **self.wrong.claims}.items() if v is not None}
        key: Any = self.wrong.key or (None if self.wrong.algorithm == "none" else self.key)
        headers = {"kid": "1", **self.wrong.headers}
        body["id_token"] = jwt.encode(claims, key, self.wrong.algorithm, headers=headers)
        if self.wrong.no_id_token:
            del body["id_token"]
        return body

    def has_user(self, sub: str, **claims: Any) -> None:
        done = requests.put(f"{self.issuer}/users/{quote(sub)}", json=claims, timeout=5)
        assert done.status_code == 204, done.text

    def grant(self, url: str, sub: str) -> dict[str, str]:
        """Log in there as a user does; return what the frontend finds in its URL."""
        done = requests.post(url, data={"sub": sub}, allow_redirects=False, timeout=5)
        assert done.status_code == 302, done.text
        return dict(parse_qsl(urlsplit(done.headers["Location"]).query))


@contextmanager
def running() -> Iterator[Provider]:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        # Of what it stands on; and that loopback needs no TLS.
        warnings.simplefilter("ignore")
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        import oidc_provider_mock

        provider = Provider(oidc_provider_mock.app(require_nonce=True))
        server = make_server("127.0.0.1", 0, provider, threaded=True)
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
