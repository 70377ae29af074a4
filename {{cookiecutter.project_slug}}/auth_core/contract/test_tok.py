"""Group TOK: what a token must be to be honoured, whichever way it arrives.

Tokens are forged by hand, with the ring's own key where the signature must not be what refuses them.
"""

import base64
import datetime
import hmac
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from uuid import uuid4

import jwt
import pytest
import time_machine
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.urls import path, reverse
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auth_core import policy
from auth_core.sessions.keys import Key, KeyRing, key_ring
from auth_core.sessions.tokens import AccessToken
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Answer,
    Api,
    claims_of,
    cookie_name,
    header_of,
    link_secrets,
    registration,
)
from config.urls import urlpatterns as project_urls

pytestmark = pytest.mark.django_db

SYMMETRIC = policy.SIGNING_ALGORITHM == "HS256"
LEEWAY = policy.CLOCK_SKEW_SECONDS
REMOVED = object()
# Each kind of token, and the claims without which it is none.
KINDS = {
    "access": ["iss", "exp", "aud", "sub", "iat", "jti", "sid", "token_type"],
    "refresh": ["iss", "exp", "aud", "sub", "iat", "jti", "sid", "token_type", "gen"],
}
# Those that tell other services of the login; nobody here believes them.
TOLD = {"access": {"amr", "acr", "auth_time"}, "refresh": set()}
each_kind = pytest.mark.parametrize("kind", KINDS)
clients_see_tokens = pytest.mark.skipif(
    policy.TOKEN_DELIVERY == "cookie", reason="no client sees a token by the policy"
)


# --- Forging -------------------------------------------------------------------------------


def b64(value: Any) -> str:
    """Encode bytes, or anything else as JSON, the way JWS does."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact(header: Any, payload: Any, sign: Callable[[bytes], bytes]) -> str:
    """Sign anything as a header and anything as a payload: bytes as they are, the rest as JSON."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def signer(key: Key, algorithm: str = "") -> Callable[[bytes], bytes]:
    method: Any = jwt.get_algorithm_by_name(algorithm or key.algorithm)
    return lambda message: bytes(method.sign(message, key.signing))


@cache
def foreign_key(algorithm: str) -> Key:
    """A key that is in no ring of ours; made once, as RSA takes its time."""
    return Key.generate(algorithm)


def changed(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **changes}.items() if value is not REMOVED}


def forged(
    token: str | None,
    claims: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    key: Key | None = None,
    sign: Callable[[bytes], bytes] | None = None,
) -> str:
    """Change a token and sign it anew: with the ring's key, unless told otherwise."""
    key = key or key_ring().signer
    new_header = changed(header_of(token), {"alg": key.algorithm, **(header or {})})
    return compact(new_header, changed(claims_of(token), claims or {}), sign or signer(key))


def answer_to(client: Api, kind: str, token: str) -> Answer:
    """Use a token instead of the client's own one of that kind."""
    if kind == "access":
        return replace(client, access=token).get("rest_user_details")
    answer = client.send_refresh(token)
    if answer.code == "csrf_failed":
        # The proof is bound to what the server can read of the cookies: it may take a new one.
        answer = replace(client, csrf=None).send_refresh(token)
    return answer


def assert_refused(
    client: Api, kind: str, tokens: dict[str, str], code: str = "token_not_valid"
) -> None:
    """Each of the tokens is refused, and nothing of that harms the session."""
    answers = {name: answer_to(client, kind, token) for name, token in tokens.items()}
    assert {name: (answer.status, answer.code) for name, answer in answers.items()} == (
        dict.fromkeys(tokens, (401, code))
    )
    assert answer_to(client, kind, getattr(client, kind)).status == 200


@pytest.fixture
def frozen() -> Iterator[int]:
    """The time in whole seconds, standing still."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    with time_machine.travel(now, tick=False):
        yield int(now.timestamp())


# --- Signature and algorithm ---------------------------------------------------------------


@each_kind
def test_no_algorithm(account: Account, kind: str) -> None:
    """TOK-01: alg none, however it is spelled, with any signature or none, is refused."""
    client = account.log_in()
    genuine = getattr(client, kind)
    _header, payload, signature = genuine.split(".")
    tokens = {}
    for alg in ("none", "None", "NONE", "noNe", "", None, REMOVED):
        header = b64(changed(header_of(genuine), {"alg": alg}))
        for name, end in (("empty", ""), ("genuine", signature), ("short", "AA")):
            tokens[f"{alg} {name}"] = f"{header}.{payload}.{end}"
    assert_refused(client, kind, tokens)


@pytest.mark.skipif(SYMMETRIC, reason="there is no public key by the policy")
@pytest.mark.inside
@each_kind
def test_the_public_key_is_no_secret(account: Account, kind: str) -> None:
    """TOK-02: a token signed with the public key as if it were an HMAC secret is refused."""
    client = account.log_in()
    key = key_ring().signer
    der = key.verifying.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.verifying.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = {**key.public_jwk, "kid": key.kid, "use": "sig", "alg": key.algorithm}
    secrets = {
        "PEM": pem,
        "PEM stripped": pem.strip(),
        "DER": der,
        "base64": base64.b64encode(der),
        "base64url": b64(der).encode(),
        "JWK": json.dumps(key.public_jwk).encode(),
        "JWK of the JWKS": json.dumps(jwk).encode(),
        "JWK compact": json.dumps(key.public_jwk, separators=(",", ":")).encode(),
        "kid": key.kid.encode(),
        "nothing": b"",
    }

    def mac(secret: bytes, size: str) -> Callable[[bytes], bytes]:
        return lambda message: hmac.digest(secret, message, f"sha{size}")

    tokens = {
        f"{name} HS{size}": forged(
            getattr(client, kind), header={"alg": f"HS{size}"}, sign=mac(secret, size)
        )
        for name, secret in secrets.items()
        for size in ("256", "384", "512")
    }
    assert_refused(client, kind, tokens)


@pytest.mark.inside
@each_kind
def test_another_algorithm_with_a_foreign_key(account: Account, kind: str) -> None:
    """TOK-02: a token that a foreign key of any algorithm signed under our kid is refused."""
    client = account.log_in()
    tokens = {
        algorithm: forged(
            getattr(client, kind),
            header={"kid": key_ring().signer.kid},
            key=foreign_key(algorithm),
        )
        for algorithm in ("HS256", "EdDSA", "ES256", "RS256")
    }
    assert_refused(client, kind, tokens)


@pytest.mark.inside
@each_kind
def test_one_key_has_one_algorithm(account: Account, kind: str) -> None:
    """TOK-03: what our own key signed with another algorithm or size, or says it did, is refused."""
    client = account.log_in()
    key = key_ring().signer
    siblings = {"HS256": ["HS384", "HS512"], "RS256": ["RS384", "RS512", "PS256", "PS512"]}
    tokens = {
        algorithm: forged(
            getattr(client, kind), header={"alg": algorithm}, sign=signer(key, algorithm)
        )
        for algorithm in siblings.get(key.algorithm, [])
    }
    for alg in ("HS384", "RS384", "ES384", "ES256K", "Ed25519", key.algorithm.swapcase(), "x"):
        tokens[f"only says {alg}"] = forged(getattr(client, kind), header={"alg": alg})
    assert_refused(client, kind, tokens)


@each_kind
def test_a_changed_token(account: Account, kind: str) -> None:
    """TOK-04: one bit changed in any part, a signature cut short, lengthened or left out is refused."""
    client = account.log_in()
    genuine = getattr(client, kind)
    parts = genuine.split(".")
    tokens = {
        "cut short": genuine[:-4],
        "lengthened": f"{genuine}AAAA",
        "dot": f"{genuine}.",
        "dot before": f".{genuine}",
        "no signature": f"{parts[0]}.{parts[1]}",
        "empty signature": f"{parts[0]}.{parts[1]}.",
        "empty payload": f"{parts[0]}..{parts[2]}",
        "header alone": parts[0],
        "parts swapped": ".".join(reversed(parts)),
    }
    for number, name in enumerate(("header", "payload", "signature")):
        raw = unb64(parts[number])
        for position in (0, 1, len(raw) // 3, len(raw) // 2, len(raw) - 2, len(raw) - 1):
            for bit in (0, 5):
                flipped = bytearray(raw)
                flipped[position] ^= 1 << bit
                new = [*parts[:number], b64(bytes(flipped)), *parts[number + 1 :]]
                tokens[f"{name} {position}.{bit}"] = ".".join(new)
    assert_refused(client, kind, tokens)


def certificate_of(key: Key) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "attacker.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.verifying)
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key.signing, hashes.SHA256())
    )
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


@each_kind
def test_a_token_brings_no_key(
    account: Account, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """TOK-05: a key that the header carries or points to is not used, nor anything fetched for it."""
    client = account.log_in()
    attempts: list[Any] = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        attempts.append(args)
        raise OSError("a test reached for the network")

    url = "https://attacker.example/keys"
    tokens = {}
    for key in map(foreign_key, {"HS256", "ES256", policy.SIGNING_ALGORITHM}):
        jwk = (
            {"kty": "oct", "k": b64(key.signing), "alg": "HS256"}
            if key.symmetric
            else {**key.public_jwk, "alg": key.algorithm}
        )
        headers: dict[str, Any] = {"jwk": jwk, "jku": url, "x5u": url}
        if key.algorithm == "ES256":
            headers["x5c"] = [certificate_of(key)]
        for name, value in headers.items():
            for whose, kid in (("our", key_ring().signer.kid), ("its", key.kid), ("no", REMOVED)):
                tokens[f"{key.algorithm} {name} {whose} kid"] = forged(
                    getattr(client, kind), header={name: value, "kid": kid}, key=key
                )
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(socket, "create_connection", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket.socket, "connect_ex", refuse)
        assert_refused(client, kind, tokens)
    assert attempts == []


ODD_KIDS = {
    "path": "../../etc/passwd",
    "device": "/dev/null",
    "SQL": "' OR 1=1--",
    "NUL": "\0",
    "64 KiB": "k" * 65_536,
    "4 KiB": "k" * 2_048,
    "empty": "",
    "unknown": "A" * 43,
    "number": 1,
    "list": ["kid"],
    "object": {"kid": 1},
    "null": None,
    "bool": True,
    "missing": REMOVED,
}


@pytest.mark.inside
def test_only_a_key_of_the_ring(
    account: Account, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TOK-06: a kid that names no key of the ring is refused, though the signature is right, unlooked for."""
    client = account.log_in()
    tokens = {name: forged(client.access, header={"kid": kid}) for name, kid in ODD_KIDS.items()}
    opened: list[Any] = []
    with monkeypatch.context() as patch, django_assert_num_queries(0):
        patch.setattr("builtins.open", lambda *args, **kwargs: opened.append(args))
        answers = {name: answer_to(client, "access", token) for name, token in tokens.items()}
    assert {(answer.status, answer.code) for answer in answers.values()} == {
        (401, "token_not_valid")
    }
    assert opened == []
    assert client.is_alive


@pytest.mark.inside
def test_only_a_key_of_the_ring_refreshes(account: Account) -> None:
    """TOK-06: the same for a refresh token; 64 KiB of kid are more than a body may hold."""
    client = account.log_in()
    kids = {name: kid for name, kid in ODD_KIDS.items() if name != "64 KiB"}
    tokens = {name: forged(client.refresh, header={"kid": kid}) for name, kid in kids.items()}
    assert_refused(client, "refresh", tokens)
    huge = forged(client.refresh, header={"kid": ODD_KIDS["64 KiB"]})
    assert answer_to(client, "refresh", huge).status == (401 if client.by_cookie else 413)


@pytest.mark.inside
@each_kind
def test_a_critical_extension(account: Account, kind: str) -> None:
    """TOK-07: a header that demands an extension we do not know, or a detached payload, is refused."""
    client = account.log_in()
    genuine = getattr(client, kind)
    criticals: list[dict[str, Any]] = [
        {"crit": ["x"], "x": 1},
        {"crit": ["x"]},
        {"crit": []},
        {"crit": "x", "x": 1},
        {"crit": None},
        {"crit": [1]},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
    ]
    assert_refused(
        client, kind, {str(header): forged(genuine, header=header) for header in criticals}
    )


# --- Time ----------------------------------------------------------------------------------


@pytest.mark.inside
@each_kind
def test_expiry(account: Account, frozen: int, kind: str) -> None:
    """TOK-08: a token is good until `exp` and the tolerated clock difference of 30 s at the most, not longer."""
    assert 0 <= LEEWAY <= 30
    client = account.log_in()
    genuine = getattr(client, kind)
    within = forged(genuine, {"exp": frozen - LEEWAY + 1})
    assert answer_to(client, kind, within).status == 200
    late = {
        str(age): forged(genuine, {"exp": frozen - age})
        for age in (LEEWAY, LEEWAY + 1, 600, 86_400)
    }
    assert_refused(client, kind, late, "token_expired")


@pytest.mark.inside
def test_a_token_that_was_verified_expires(account: Account, clock: Any) -> None:
    """TOK-08: that a signature is checked once in a process lets no token live longer."""
    client = account.log_in()
    assert client.is_alive
    clock.shift(policy.ACCESS_TOKEN_MINUTES * 60 + LEEWAY - 1)
    assert client.is_alive
    clock.shift(1)
    answer = client.get("rest_user_details")
    assert (answer.status, answer.code) == (401, "token_expired")


@pytest.mark.inside
def test_few_tokens_are_remembered_and_none_as_it_stands(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads a process's memory finds no token that was used before; and it does not grow."""
    backend: Any = AccessToken.backend
    monkeypatch.setattr(backend, "AT_MOST", 2)
    for client in [account.log_in() for _ in range(3)]:
        assert client.is_alive
        assert client.is_alive
        assert str(client.access) not in repr(backend._verified)
        assert 0 < len(backend._verified) <= 2


@pytest.mark.inside
@each_kind
def test_a_token_from_the_future(account: Account, frozen: int, kind: str) -> None:
    """TOK-09: nbf or iat 600 s ahead is refused; 5 s, as between two hosts' clocks, is not."""
    client = account.log_in()
    genuine = getattr(client, kind)
    for claim in ("nbf", "iat"):
        assert answer_to(client, kind, forged(genuine, {claim: frozen + 5})).status == 200
        tokens = {
            str(ahead): forged(genuine, {claim: frozen + ahead}) for ahead in (60, 600, 10**8)
        }
        assert_refused(client, kind, tokens)


# --- Claims --------------------------------------------------------------------------------


@pytest.mark.inside
@each_kind
def test_the_audience(account: Account, kind: str) -> None:
    """TOK-10: a token for somebody else, for nobody, or for a list without us is refused."""
    client = account.log_in()
    genuine = getattr(client, kind)
    ours = django_settings.SIMPLE_JWT["AUDIENCE"]
    assert claims_of(genuine)["aud"] == ours
    others: list[Any] = [
        "urn:other:api", REMOVED, None, "", [], ["urn:other:api"], [None], {ours: ours}, True, 1,
        ours[:-1], f"{ours}:x", f" {ours}", ours.upper(), [[ours]], [ours.upper(), "x"],
    ]  # fmt: skip
    assert_refused(client, kind, {str(aud): forged(genuine, {"aud": aud}) for aud in others})


@pytest.mark.inside
@each_kind
def test_the_issuer(account: Account, kind: str) -> None:
    """TOK-11: another issuer, none, or one that ours is a prefix of, or the reverse, is refused."""
    client = account.log_in()
    genuine = getattr(client, kind)
    ours = django_settings.SIMPLE_JWT["ISSUER"]
    assert claims_of(genuine)["iss"] == ours
    others: list[Any] = [
        "urn:other:auth", REMOVED, None, "", [ours], {ours: ours}, 1, True,
        ours[:-1], ours[:4], f"{ours}x", f"{ours}:x", f" {ours}", ours.upper(),
    ]  # fmt: skip
    assert_refused(client, kind, {str(iss): forged(genuine, {"iss": iss}) for iss in others})


def test_every_secret_at_every_door(api: Api, account: Account, mailbox: list[Any]) -> None:
    """TOK-12: each secret of this project opens its own door and no other one."""
    client = account.log_in()
    api.post("rest_password_reset", {"email": account.user.email})
    link = link_secrets(mailbox[-1])
    address = EmailAddress.objects.get(user=account.user)
    EmailAddress.objects.filter(pk=address.pk).update(verified=False)
    secrets = {
        "access": client.access,
        "refresh": client.refresh,
        "reset": link["token"],
        "verification": EmailConfirmationHMAC.create(address).key,
        "CSRF": client.csrf or "nonce.mac",
    }
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    doors: dict[str, tuple[int, Callable[[str], Answer]]] = {
        "access": (401, lambda token: answer_to(client, "access", token)),
        "refresh": (401, lambda token: answer_to(client, "refresh", token)),
        "verification": (400, lambda token: api.post("rest_verify_email", {"key": token})),
        # Last: it ends the session.
        "reset": (
            400,
            lambda token: api.post(
                "rest_password_reset_confirm", {"uid": link["uid"], "token": token, **new}
            ),
        ),
    }
    got, expected = {}, {}
    for door, (refusal, knock) in doors.items():
        for name, secret in sorted(secrets.items(), key=lambda pair: pair[0] == door):
            got[f"{name} at {door}"] = knock(str(secret)).status
            expected[f"{name} at {door}"] = 200 if name == door else refusal
    assert got == expected


@clients_see_tokens
def test_verify_takes_access_tokens_only(api: Api, account: Account, mailbox: list[Any]) -> None:
    """TOK-12, TOK-25: of all secrets only an access token is answered with 200 by token/verify."""
    api.post("rest_password_reset", {"email": account.user.email})
    client = account.log_in("header")
    key = EmailConfirmationHMAC.create(EmailAddress.objects.get(user=account.user)).key
    for other in (client.refresh, link_secrets(mailbox[-1])["token"], key):
        answer = api.post("token_verify", {"token": other})
        assert (answer.status, answer.code) == (401, "token_not_valid")
    assert api.post("token_verify", {"token": client.access}).status == 200


@pytest.mark.inside
@each_kind
def test_the_type_in_the_header(account: Account, kind: str) -> None:
    """TOK-13: `typ` is at+jwt or rt+jwt, and any other one is refused, whatever the claims say."""
    client = account.log_in()
    genuine = getattr(client, kind)
    ours = {"access": "at+jwt", "refresh": "rt+jwt"}
    assert header_of(genuine)["typ"] == ours[kind]
    types: list[Any] = [
        *(typ for name, typ in ours.items() if name != kind),
        "JWT", "jwt", "", None, REMOVED, "at", "dpop+jwt", "id+jwt", "logout+jwt", f" {ours[kind]}",
        [ours[kind]], {"typ": ours[kind]}, 1, True,
    ]  # fmt: skip
    assert_refused(client, kind, {str(typ): forged(genuine, header={"typ": typ}) for typ in types})
    other = client.refresh if kind == "access" else client.access
    retyped = forged(other, {"gen": claims_of(client.refresh)["gen"]}, header={"typ": ours[kind]})
    assert_refused(client, kind, {"the other kind": retyped})


@pytest.mark.inside
@each_kind
def test_every_claim_is_required(account: Account, kind: str) -> None:
    """TOK-14: a token that lacks any one of its claims is refused."""
    client = account.log_in()
    genuine = getattr(client, kind)
    assert set(claims_of(genuine)) - TOLD[kind] == set(KINDS[kind])
    assert (
        answer_to(client, kind, forged(genuine, dict.fromkeys(TOLD[kind], REMOVED))).status == 200
    )
    assert_refused(
        client, kind, {claim: forged(genuine, {claim: REMOVED}) for claim in KINDS[kind]}
    )


@pytest.mark.inside
@each_kind
@pytest.mark.parametrize("claim", ["sub", "exp", "nbf", "iat", "jti", "sid", "gen"])
def test_a_claim_of_the_wrong_type(account: Account, kind: str, claim: str) -> None:
    """TOK-15: a genuinely signed claim of the wrong type is refused: never 500, never 200."""
    if claim == "gen" and kind == "access":
        pytest.skip("an access token has no generation")
    client = account.log_in()
    genuine = getattr(client, kind)
    values: list[Any] = [
        None, [], {}, 1.5, True, False, 10**30, -(10**30), -1, "abc", "", "1", "\0", [1], {"a": 1},
        float("inf"), float("nan"), "9" * 400, str(claims_of(genuine).get(claim, 0)).upper() + " ",
    ]  # fmt: skip
    tokens = {f"{value!r:.40}": forged(genuine, {claim: value}) for value in values}
    answers = {name: answer_to(client, kind, token) for name, token in tokens.items()}
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(tokens, 401)
    assert {answer.code for answer in answers.values()} <= {"token_not_valid", "token_expired"}
    assert client.is_alive


@clients_see_tokens
@each_kind
def test_the_format(account: Account, kind: str) -> None:
    """TOK-16: anything but three canonical base64url parts is refused."""
    client = account.log_in("header")
    genuine = getattr(client, kind)
    header, payload, signature = genuine.split(".")
    flat = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    # The last character of a part of 43 stands for four bits: other spellings of them are not ours.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(signature[-1]) ^ 1]
    tokens = {
        "flattened JSON": json.dumps(flat, separators=(",", ":")),
        "general JSON": json.dumps(general, separators=(",", ":")),
        "JWE": f"{header}.{payload}.{signature}.{payload}.{signature}",
        "four parts": f"{genuine}.{signature}",
        "padded": f"{header}.{payload}.{signature}{'=' * (-len(signature) % 4 or 4)}",
        "padded header": f"{header}{'=' * (-len(header) % 4 or 4)}.{payload}.{signature}",
        "other last bits": f"{header}.{payload}.{signature[:-1]}{last}",
        "junk": f"{header}.{payload}.{signature}!",
        "standard alphabet": f"{header}.{payload}.{signature[:-1]}+",
        "comma": f"{genuine},",
        "quoted": f'"{genuine}"',
        "unicode": f"{genuine}é€".encode().decode("latin-1"),
        "not ASCII digits": genuine.replace(signature[:2], "²²"),
    }
    assert_refused(client, kind, tokens)
    # Before it comes to us, a server may find it too long.
    for long in ("A" * 61_440, f"{header}.{payload}.{'A' * 60_000}", "." * 61_440):
        assert answer_to(client, kind, long).status in {400, 401, 431}


@clients_see_tokens
def test_the_authorization_header(account: Account) -> None:
    """TOK-16: an empty scheme, spaces, several tokens or another scheme in the header are refused."""
    client = account.log_in("header")
    scheme, token, other = policy.AUTH_HEADER_TYPE, str(client.access), str(client.refresh)
    for value in (
        scheme, f"{scheme} ", f"{scheme}  ", f"{scheme}{token}", token, f"{scheme} {token} {token}",
        f"{scheme} {token},{token}", f"{scheme} {token[:40]} {token[40:]}", f"{scheme}: {token}",
        f"{scheme} {scheme} {token}", f"Token {token}", f"Basic {token}", ",",
    ):  # fmt: skip
        answer = client.get("rest_user_details", Authorization=value)
        assert answer.status in {400, 401}, value
    for value in ("", " ", f" {other[:40]} {other[40:]}"):
        assert client.send_refresh(value).status in {400, 401}
    assert client.get("rest_user_details", Authorization=f"{scheme} {token}").status == 200


@pytest.mark.inside
@each_kind
def test_a_name_that_stands_twice(account: Account, kind: str) -> None:
    """TOK-16: a claim or header that stands twice is refused, though the signature is right."""
    client = account.log_in()
    genuine = getattr(client, kind)
    sign = signer(key_ring().signer)
    header, payload = unb64(genuine.split(".")[0]), unb64(genuine.split(".")[1])
    tokens = {}
    for name in KINDS[kind]:
        value = json.dumps(claims_of(genuine)[name]).encode()
        twice = b'{"%s":%s,%s' % (name.encode(), value, payload[1:])
        tokens[f"claim {name}"] = compact(header, twice, sign)
    for name in ("alg", "kid", "typ"):
        value = json.dumps(header_of(genuine)[name]).encode()
        tokens[f"header {name}"] = compact(
            b'{"%s":%s,%s' % (name.encode(), value, header[1:]), payload, sign
        )
    for part in (b"[]", b"null", b'"x"', b"1", b"", b"{", b"\xff", b"[" * 2_000, b'{"a":' * 400):
        tokens[f"header is {part[:9]!r}"] = compact(part, payload, sign)
        tokens[f"payload is {part[:9]!r}"] = compact(header, part, sign)
    assert_refused(client, kind, tokens)


# --- The user behind it --------------------------------------------------------------------


@pytest.mark.inside
@pytest.mark.parametrize("way", ["saved", "by SQL"])
def test_a_deactivated_user(account: Account, way: str) -> None:
    """TOK-17: the tokens of a user who was deactivated since, in whatever way, are refused at once."""
    client = account.log_in()
    assert client.is_alive
    if way == "saved":
        account.user.is_active = False
        account.user.save()
    else:
        # Past the signals and the manager, which end the sessions.
        QuerySet(get_user_model()).filter(pk=account.user.pk).update(is_active=False)
    for answer in (client.get("rest_user_details"), client.send_refresh()):
        assert (answer.status, answer.code) == (401, "session_revoked")


@pytest.mark.inside
def test_a_deleted_user(account: Account) -> None:
    """TOK-18: the tokens of a user who was deleted since are refused with 401, not 404 or 500."""
    client = account.log_in()
    assert client.is_alive
    account.user.delete()
    for answer in (client.get("rest_user_details"), client.send_refresh()):
        assert (answer.status, answer.code) == (401, "session_revoked")
    assert client.post("rest_logout").status == 200


def test_an_address_that_is_taken_over(make_account: Callable[..., Account]) -> None:
    """TOK-19: the successor of a deleted user, with the same names, does not inherit the tokens."""
    first = make_account()
    client = first.log_in()
    names = {"username": first.user.username, "email": first.user.email}
    first.user.delete()
    second = make_account(**names)
    assert second.log_in().is_alive
    assert (client.get("rest_user_details").status, client.send_refresh().status) == (401, 401)


@pytest.mark.inside
@each_kind
def test_the_subject_and_the_session_belong_together(
    account: Account, other_account: Account, kind: str
) -> None:
    """TOK-19: a session under another user's `sub`, or a user under another session, is refused."""
    client, other = account.log_in(), other_account.log_in()
    genuine, foreign = getattr(client, kind), claims_of(getattr(other, kind))
    tokens = {
        "other sub": forged(genuine, {"sub": foreign["sub"]}),
        "other sid": forged(genuine, {"sid": foreign["sid"]}),
        "unknown sub": forged(genuine, {"sub": str(uuid4())}),
        "unknown sid": forged(genuine, {"sid": str(uuid4())}),
    }
    assert_refused(client, kind, tokens, "session_revoked")
    assert other.is_alive


def test_a_token_says_nothing_of_its_user(account: Account) -> None:
    """TOK-19: `sub` is an opaque id; no claim holds a name or an address."""
    client = account.log_in()
    for kind, names in KINDS.items():
        claims = claims_of(getattr(client, kind))
        assert set(claims) == {*names, *TOLD[kind]}
        assert len(claims["sub"]) == 36
        text = json.dumps(claims).lower()
        assert account.user.email.lower() not in text
        assert str(account.user.username).lower() not in text


# --- Around a token ------------------------------------------------------------------------


def test_where_a_token_is_not_looked_for(account: Account) -> None:
    """TOK-20: a token in the query, in a form, or in another header or cookie than its own is not used."""
    client = account.log_in()
    nobody = Api(delivery="header")
    details, token = reverse("rest_user_details"), client.access or ""
    for name in ("access_token", "token", "access", "jwt", "bearer_token", "Authorization"):
        assert nobody.get(f"{details}?{name}={token}").status == 401
        form = f"{name}={token}".encode()
        for method in ("POST", "PUT", "PATCH"):
            url = "rest_password_change" if method == "POST" else details
            form_type = "application/x-www-form-urlencoded"
            assert nobody.request(method, url, form, content_type=form_type).status == 401
            assert nobody.request(method, url, {name: token}).status == 401
    basic = base64.b64encode(f"{token}:".encode()).decode()
    for name, value in (
        ("X-Access-Token", token),
        ("X-Authorization", f"{policy.AUTH_HEADER_TYPE} {token}"),
        ("Proxy-Authorization", f"{policy.AUTH_HEADER_TYPE} {token}"),
        ("Authorization", f"Basic {basic}"),
        ("Cookie", f"token={token}; jwt={token}; sessionid={token}; Authorization={token}"),
    ):
        assert nobody.get(details, **{name: value}).status == 401
    # A token that was given to a header does not open by cookie, nor the other way round.
    if client.by_cookie:
        crossed = {"Authorization": f"{policy.AUTH_HEADER_TYPE} {token}"}
    else:
        crossed = {"Cookie": f"access={token}; {cookie_name('access')}={token}"}
    assert nobody.get(details, **crossed).status == 401
    assert client.is_alive


class AdministratorsOnly(APIView):
    permission_classes = (IsAdminUser,)

    def get(self, request: Request) -> Response:
        return Response({})


urlpatterns = [path("administrators-only/", AdministratorsOnly.as_view()), *project_urls]


def test_the_challenge(api: Api, account: Account) -> None:
    """TOK-21: no token is 401 with a bare challenge; a bad one is 401 with error="invalid_token"."""
    bare = f'{policy.AUTH_HEADER_TYPE} realm="api"'
    nobody = Api(delivery="header")
    answer = nobody.get("rest_user_details")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, bare)
    answer = nobody.get("rest_user_details", Authorization="Basic bm9ib2R5Og==")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, bare)
    refresh = account.log_in().refresh
    for token in ("dead", "dead.dead.dead", refresh, ""):
        sent = f"{policy.AUTH_HEADER_TYPE} {token}"
        for written in (sent, sent.lower() if token == "dead" else sent):
            answer = nobody.get("rest_user_details", Authorization=written)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == f'{bare}, error="invalid_token"'


def test_a_valid_token_without_the_right(account: Account, settings: Any) -> None:
    """TOK-21: a valid token of somebody who may not is answered with 403, without a challenge."""
    settings.ROOT_URLCONF = __name__
    answer = account.log_in().get("/administrators-only/")
    assert (answer.status, answer.code) == (403, "permission_denied")
    assert "WWW-Authenticate" not in answer.headers
    assert Api().get("/administrators-only/").status == 401
    get_user_model().objects.filter(pk=account.user.pk).update(is_staff=True)
    assert account.log_in().get("/administrators-only/").status == 200


def test_nothing_is_cached(api: Api, account: Account) -> None:
    """TOK-22: every answer that carries a token or was given to one says Cache-Control: no-store."""
    login = api.post("rest_login", account.credentials)
    client = api.with_tokens_of(login)
    wrong = {"old_password": "wrong", "new_password1": "x", "new_password2": "y"}
    answers = {
        "login": login,
        "login refused": api.post("rest_login", {**account.credentials, "password": "wrong"}),
        "details": client.get("rest_user_details"),
        "details changed": client.patch("rest_user_details", {"first_name": ""}),
        "password refused": client.post("rest_password_change", wrong),
        "sessions": client.get("session_list"),
        "others ended": client.delete("session_list"),
        "not found": client.delete(reverse("session", args=[uuid4()])),
        "not allowed": client.get("rest_password_change"),
        "no token": api.get("rest_user_details"),
        "refresh": client.send_refresh(),
        "refresh refused": client.send_refresh("dead.dead.dead"),
        "verify refused": api.post("token_verify", {"token": "dead"}),
        "logout": client.post("rest_logout"),
    }
    if policy.TOKEN_DELIVERY != "header":
        answers["csrf"] = api.get("csrf")
    said = {name: answer.headers.get("Cache-Control") for name, answer in answers.items()}
    assert said == dict.fromkeys(answers, "no-store")


@pytest.mark.skipif(policy.REGISTRATION != "open", reason="registration is not open")
@pytest.mark.inside
def test_a_registration_is_not_cached(api: Api) -> None:
    """TOK-22: nor is the answer to a registration, which may carry tokens."""
    answer = api.post("rest_register", registration())
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")


# --- Keys ----------------------------------------------------------------------------------


def test_a_rotation_logs_nobody_out(account: Account, settings: Any) -> None:
    """TOK-23: after a rotation old tokens live and new ones carry the new kid, until the old key is retired."""
    old, new = key_ring().signer, foreign_key(policy.SIGNING_ALGORITHM)
    away, busy = account.log_in(), account.log_in()

    settings.AUTH_SIGNING_KEYS = [str(old), str(new)]
    assert busy.is_alive
    assert header_of(account.log_in().access)["kid"] == old.kid

    settings.AUTH_SIGNING_KEYS = [str(new), str(old)]
    assert away.is_alive
    assert busy.is_alive
    busy = busy.refreshed()
    for token in (busy.access, busy.refresh, account.log_in().access):
        assert header_of(token)["kid"] == new.kid
    assert busy.is_alive

    settings.AUTH_SIGNING_KEYS = [str(new)]
    assert busy.is_alive
    assert busy.refreshed().is_alive
    for kind in KINDS:
        answer = answer_to(away, kind, getattr(away, kind))
        assert (answer.status, answer.code) == (401, "token_not_valid")


@pytest.mark.skipif(not SYMMETRIC, reason="there are public keys by the policy")
def test_secret_keys_are_not_published(api: Api) -> None:
    """TOK-24: with a secret key there is no JWKS."""
    assert api.get("/.well-known/jwks.json").status == 404


@pytest.mark.skipif(SYMMETRIC, reason="there is no public key by the policy")
def test_public_keys_are_published(api: Api, settings: Any) -> None:
    """TOK-24: JWKS lists every key of the ring, only what is public of each, and may be cached."""
    others = map(foreign_key, ("EdDSA", "ES256"))
    settings.AUTH_SIGNING_KEYS = [*settings.AUTH_SIGNING_KEYS, *map(str, others)]
    answer = api.get("/.well-known/jwks.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert "public" in answer.headers["Cache-Control"]
    assert "max-age=300" in answer.headers["Cache-Control"]
    ring = KeyRing(settings.AUTH_SIGNING_KEYS)
    assert [jwk["kid"] for jwk in answer.body["keys"]] == list(ring.keys)
    public = {"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg"}
    for jwk, key in zip(answer.body["keys"], ring.keys.values(), strict=True):
        assert set(jwk) <= public
        assert (jwk["alg"], jwk["use"]) == (key.algorithm, "sig")
        assert jwt.PyJWK(jwk).key == key.verifying
        assert key.text not in json.dumps(answer.body)


@pytest.mark.skipif(SYMMETRIC, reason="there is no public key by the policy")
@pytest.mark.inside
def test_another_service_verifies_by_jwks(
    live_server: Any, account: Account, settings: Any
) -> None:
    """TOK-24, TOK-23: an independent verifier accepts access tokens by the keys it fetches, through a rotation."""
    keys = jwt.PyJWKClient(f"{live_server.url}/.well-known/jwks.json", cooldown_duration=0)

    def verify(token: str | None) -> dict[str, Any]:
        assert token
        claims: dict[str, Any] = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            audience=django_settings.SIMPLE_JWT["AUDIENCE"],
            issuer=django_settings.SIMPLE_JWT["ISSUER"],
            options={"require": ["exp", "iat", "sub", "jti"]},
        )
        return claims

    before = account.log_in()
    assert verify(before.access)["sub"] == str(account.user.pk)
    old, new = key_ring().signer, foreign_key(policy.SIGNING_ALGORITHM)
    settings.AUTH_SIGNING_KEYS = [str(new), *settings.AUTH_SIGNING_KEYS]
    after = account.log_in()
    assert verify(after.access)["sid"] == claims_of(after.access)["sid"]
    assert verify(before.access)["sid"] == claims_of(before.access)["sid"]
    stranger = forged(before.access, header={"kid": new.kid}, key=old)
    with pytest.raises(jwt.InvalidSignatureError):
        verify(stranger)


@clients_see_tokens
@pytest.mark.inside
def test_verify_knows_what_lives(api: Api, account: Account, clock: Any) -> None:
    """TOK-25: token/verify answers 200 only for a live, unrevoked access token of an active user."""

    def verify(client: Api) -> tuple[int, str | None]:
        answer = api.post("token_verify", {"token": client.access})
        return answer.status, answer.code

    client, out, ended = (account.log_in("header") for _number in range(3))
    assert verify(client) == verify(out) == verify(ended) == (200, None)
    assert api.post("token_verify", {"token": client.refresh}).code == "token_not_valid"
    out.post("rest_logout")
    assert verify(out) == (401, "session_revoked")
    client.delete("session_list")
    assert verify(ended) == (401, "session_revoked")
    assert verify(client) == (200, None)
    users = get_user_model().objects.filter(pk=account.user.pk)
    users.update(is_active=False)
    assert verify(client) == (401, "session_revoked")
    users.update(is_active=True)
    late = account.log_in("header")
    clock.shift(policy.ACCESS_TOKEN_MINUTES * 60 + LEEWAY + 2)
    assert verify(late) == (401, "token_expired")
    last = account.log_in("header")
    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    account.log_in().post("rest_password_change", {"old_password": PASSWORD, **new})
    assert verify(last) == (401, "session_revoked")
    users.get().delete()
    assert verify(last) == (401, "session_revoked")


# --- Exhaustion ----------------------------------------------------------------------------


@pytest.mark.inside
def test_a_huge_or_bottomless_token_costs_nothing(account: Account) -> None:
    """TOK-26: a payload nested 100,000 deep or a header of 1 MB is refused in less than 100 ms."""
    client = account.log_in()
    header = unb64(str(client.access).split(".")[0])
    sign = signer(key_ring().signer)
    deep = 100_000
    tokens = {
        "deep payload": compact(header, b'{"a":' * deep + b"1" + b"}" * deep, sign),
        "deep list": compact(header, b"[" * deep + b"]" * deep, sign),
        "deep header": compact(b'{"a":' * deep, b"{}", sign),
        "deep within the limit": compact(header, b"[" * 2_000, sign),
        "1 MB": "A" * 2**20,
        "1 MB of dots": "." * 2**20,
        "1 MB of spaces": "A" + " " * 2**20 + "A",
    }
    for name, token in tokens.items():
        durations = []
        for _attempt in range(3):
            start = time.perf_counter()
            answer = answer_to(client, "access", token)
            durations.append(time.perf_counter() - start)
            assert answer.status in {400, 401, 431}, name
        assert min(durations) < 0.1, name
    assert client.is_alive


@clients_see_tokens
@pytest.mark.inside
def test_a_bottomless_token_in_a_body(account: Account) -> None:
    """TOK-26: the same in the body of a refresh, as far as a body reaches."""
    client = account.log_in("header")
    header = unb64(str(client.refresh).split(".")[0])
    sign = signer(key_ring().signer)
    tokens = {str(deep): compact(header, b"[" * deep, sign) for deep in (2_000, 40_000)}
    assert_refused(client, "refresh", tokens)
