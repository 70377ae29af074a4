"""An authenticator with one passkey, in the environment of a rendered project.

`python passkey.py FILE ORIGIN OPTIONS` prints what a browser on a page of ORIGIN answers to the
OPTIONS of a ceremony. The first call makes the passkey and keeps it in FILE.
"""

import json
import secrets
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

CURVE = ec.SECP256R1()
FLAG = AuthenticatorData.FLAG


def answer(file: Path, origin: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return a credential as its `toJSON()` gives it."""
    is_new = not file.exists()
    kept = new_passkey(options) if is_new else json.loads(file.read_text())
    if not is_new and options["rpId"] != kept["rp_id"]:
        sys.exit(f"The passkey is of {kept['rp_id']}, not of {options['rpId']}")
    kept["uses"] += 1
    file.write_text(json.dumps(kept))
    key = ec.derive_private_key(kept["key"], CURVE)
    raw = websafe_decode(kept["id"])
    public = ES256.from_cryptography_key(key.public_key())
    attested = AttestedCredentialData.create(Aaguid.NONE, raw, public) if is_new else b""
    client = CollectedClientData.create(
        type="webauthn.create" if is_new else "webauthn.get",
        challenge=websafe_decode(options["challenge"]),
        origin=origin,
        cross_origin=False,
    )
    flags = FLAG.UP | FLAG.UV | (FLAG.AT if is_new else FLAG(0))
    id_hash = sha256(kept["rp_id"].encode()).digest()
    data = AuthenticatorData.create(id_hash, flags, kept["uses"], attested)
    response = {"clientDataJSON": client}
    if is_new:
        response["attestationObject"] = AttestationObject.create("none", data, {})
    else:
        response["authenticatorData"] = data
        signed = data + sha256(client).digest()
        response["signature"] = key.sign(signed, ec.ECDSA(hashes.SHA256()))
        response["userHandle"] = websafe_decode(kept["handle"])
    encoded = {name: websafe_encode(value) for name, value in response.items()}
    return {"id": kept["id"], "rawId": kept["id"], "type": "public-key", "response": encoded}


def new_passkey(options: dict[str, Any]) -> dict[str, Any]:
    number = ec.generate_private_key(CURVE).private_numbers().private_value
    return {
        "id": websafe_encode(secrets.token_bytes(32)),
        "rp_id": options["rp"]["id"],
        "handle": options["user"]["id"],
        "key": number,
        "uses": 0,
    }


if __name__ == "__main__":
    file, origin, options = sys.argv[1:]
    print(json.dumps(answer(Path(file), origin, json.loads(options))))
