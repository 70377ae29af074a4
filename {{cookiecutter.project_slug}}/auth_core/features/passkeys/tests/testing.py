"""A software authenticator with a browser around it, and users who have one."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from django.conf import settings
from fido2.cose import ES256, ES384, RS256, CoseKey, EdDSA
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from auth_core.testing import Account, Answer, Api

PRESENT, VERIFIED = AuthenticatorData.FLAG.UP, AuthenticatorData.FLAG.UV
Credential = dict[str, Any]


def new_key(algorithm: int) -> tuple[Any, CoseKey]:
    """Make a key pair; return the private key, and the public one as authenticators give it."""
    if algorithm == RS256.ALGORITHM:
        key: Any = rsa.generate_private_key(65537, 2048)
        return key, RS256.from_cryptography_key(key.public_key())
    if algorithm == EdDSA.ALGORITHM:
        key = ed25519.Ed25519PrivateKey.generate()
        return key, EdDSA.from_cryptography_key(key.public_key())
    if algorithm == ES384.ALGORITHM:
        key = ec.generate_private_key(ec.SECP384R1())
        return key, ES384.from_cryptography_key(key.public_key())
    key = ec.generate_private_key(ec.SECP256R1())
    return key, ES256.from_cryptography_key(key.public_key())


def sign(key: Any, message: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return bytes(key.sign(message, ec.ECDSA(hashes.SHA256())))


@dataclass
class Device:
    """An authenticator whose owner agrees to everything, and lies where it is told to (WebAuthn Level 3, 6)."""

    origin: str = field(default_factory=lambda: settings.PASSKEY_ORIGINS[0])  # type: ignore[misc]
    # One that does not count says 0 for ever, as those do that copy their passkeys to other devices.
    counts: bool = True
    keys: dict[str, Any] = field(default_factory=dict)
    handles: dict[str, str] = field(default_factory=dict)
    uses: int = 0

    def create(self, options: dict[str, Any], **lies: Any) -> Credential:
        """Answer `navigator.credentials.create()`, as `toJSON()` has it."""
        key, public = new_key(lies.get("algorithm", ES256.ALGORITHM))
        raw = lies.get("id", secrets.token_bytes(32))
        name = websafe_encode(raw)
        self.keys[name], self.handles[name] = key, options["user"]["id"]
        attested = AttestedCredentialData.create(Aaguid.NONE, raw, public)
        client = self._client_data("webauthn.create", options, lies)
        data = self._data(options["rp"]["id"], lies, attested)
        attestation = AttestationObject.create("none", data, {})
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {"credProps": {"rk": True}},
            "response": {
                "clientDataJSON": websafe_encode(client),
                "attestationObject": websafe_encode(attestation),
                "transports": ["internal"],
            },
        }

    def get(self, options: dict[str, Any], **lies: Any) -> Credential:
        """Answer `navigator.credentials.get()` with the passkey that was made last, or one that is allowed."""
        allowed = [each["id"] for each in options.get("allowCredentials", [])]
        name = lies.get("name") or next(
            it for it in reversed(self.keys) if it in allowed or not allowed
        )
        client = self._client_data("webauthn.get", options, lies)
        data = self._data(options["rpId"], lies)
        signature = sign(lies.get("key", self.keys.get(name)), data + sha256(client).digest())
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": websafe_encode(client),
                "authenticatorData": websafe_encode(data),
                "signature": websafe_encode(lies.get("signature", signature)),
                "userHandle": lies.get("handle", self.handles.get(name)),
            },
        }

    def _client_data(self, kind: str, options: dict[str, Any], lies: dict[str, Any]) -> bytes:
        return CollectedClientData.create(
            type=lies.get("type", kind),
            challenge=lies.get("challenge", websafe_decode(options["challenge"])),
            origin=lies.get("origin", self.origin),
            cross_origin=lies.get("framed", False),
        )

    def _data(self, rp_id: str, lies: dict[str, Any], attested: bytes = b"") -> AuthenticatorData:
        self.uses += self.counts
        flags = lies.get("flags", PRESENT | VERIFIED)
        if attested:
            flags |= AuthenticatorData.FLAG.AT
        rp_id_hash = sha256(lies.get("rp_id", rp_id).encode()).digest()
        return AuthenticatorData.create(rp_id_hash, flags, lies.get("count", self.uses), attested)


@dataclass
class Holder:
    """A user who has a passkey, the session that registered it, and the recovery codes that were shown."""

    account: Account
    client: Api
    device: Device
    passkey: str
    recovery_codes: list[str]

    @property
    def user(self) -> Any:
        return self.account.user

    def log_in(self) -> Api:
        """Log in with nothing but the passkey."""
        answer = log_in(self.device)
        assert answer.status == 200, answer.body
        return Api().with_tokens_of(answer)


def ceremony(client: Api, name: str, body: Any = None) -> tuple[str, dict[str, Any]]:
    """Begin one; return its token and the options for the browser."""
    begun = client.post(f"passkey_{name}_begin", body)
    assert begun.status == 200, begun.body
    return begun.body["flow_token"], begun.body["options"]


def register(client: Api, device: Device, name: str = "Phone", **lies: Any) -> Answer:
    token, options = ceremony(client, "register")
    body = {"flow_token": token, "credential": device.create(options, **lies), "name": name}
    return client.post("passkey_register_complete", body)


def log_in(device: Device, **lies: Any) -> Answer:
    token, options = ceremony(Api(), "login")
    body = {"flow_token": token, "credential": device.get(options, **lies)}
    return Api().post("passkey_login_complete", body)


def verify(ephemeral_token: str, device: Device, **lies: Any) -> Answer:
    """Finish a login with a passkey as its second factor."""
    begin = {"ephemeral_token": ephemeral_token}
    token, options = ceremony(Api(), "verify", begin)
    body = {**begin, "flow_token": token, "credential": device.get(options, **lies)}
    return Api().post("passkey_verify_complete", body)


def reauthenticate(client: Api, device: Device, **lies: Any) -> Answer:
    token, options = ceremony(client, "reauthenticate")
    body = {"flow_token": token, "credential": device.get(options, **lies)}
    return client.post("passkey_reauthenticate_complete", body)


def equip(account: Account, client: Api | None = None) -> Holder:
    client, device = client or account.log_in(), Device()
    done = register(client, device)
    assert done.status == 201, done.body
    return Holder(account, client, device, done.body["id"], done.body["recovery_codes"])


@pytest.fixture
def holder(account: Account, clock: Any) -> Holder:
    return equip(account)


@pytest.fixture
def make_holder(make_account: Callable[..., Account], clock: Any) -> Callable[..., Holder]:
    return lambda **fields: equip(make_account(**fields))
