"""WebAuthn (Level 3): the options for `navigator.credentials`, and whether what comes back is good.

The checks are fido2's, those of 7.1 and 7.2 that it leaves to its caller stand here. No attestation is asked for:
which product holds a passkey is its user's business.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.adapter import get_adapter
from django.conf import settings
from fido2.server import Fido2Server
from fido2.utils import websafe_decode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    CollectedClientData,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from auth_core.digests import digest

from .models import Passkey

logger = logging.getLogger(__name__)

# ES256, EdDSA and RS256, as the standard suggests; each authenticator has one of them.
ALGORITHMS = (-7, -8, -257)
# In bytes (4, "credential ID").
MAX_CREDENTIAL_ID = 1023
# By the device, with a PIN or biometrics: a passkey is two factors, and so logs in alone.
VERIFIED = UserVerificationRequirement.REQUIRED
# What asks for a passkey, as JSON; and what an authenticator answers, as `toJSON()` of a browser has it.
Options = dict[str, Any]
Credential = dict[str, Any]


class InvalidCredentialError(Exception):
    """The answer of an authenticator is malformed, forged, or to another question."""


def _server() -> Fido2Server:
    # Of a feature: mypy reads the kernel's.
    rp_id: str = settings.PASSKEY_RP_ID  # type: ignore[misc]
    origins: list[str] = settings.PASSKEY_ORIGINS  # type: ignore[misc]
    name: str = settings.PASSKEY_RP_NAME  # type: ignore[misc]
    seconds: int = settings.PASSKEY_CEREMONY_SECONDS  # type: ignore[misc]
    server = Fido2Server(
        PublicKeyCredentialRpEntity(id=rp_id, name=name),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=origins.__contains__,
    )
    server.timeout = seconds * 1000  # type: ignore[assignment] # declared to be None
    server.allowed_algorithms = [
        PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=algorithm)
        for algorithm in ALGORITHMS
    ]
    return server


def _handle(user: Any) -> bytes:
    entity: dict[str, Any] = get_adapter().get_public_key_credential_user_entity(user)
    return bytes(entity["id"])


def _credentials(passkeys: Iterable[Passkey]) -> list[AttestedCredentialData]:
    return [passkey.authenticator.wrap().authenticator_data.credential_data for passkey in passkeys]


def creation_options(user: Any, passkeys: Iterable[Passkey]) -> tuple[Options, str]:
    """Return what asks for a new passkey, other than those the user has, and its challenge."""
    options, state = _server().register_begin(
        PublicKeyCredentialUserEntity(**get_adapter().get_public_key_credential_user_entity(user)),
        credentials=_credentials(passkeys),
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=VERIFIED,
    )
    return dict(options)["publicKey"], state["challenge"]


def request_options(passkeys: Iterable[Passkey] = ()) -> tuple[Options, str]:
    """Return what asks for one of these passkeys, or for any of this project, and its challenge."""
    options, state = _server().authenticate_begin(
        _credentials(passkeys), user_verification=VERIFIED
    )
    return dict(options)["publicKey"], state["challenge"]


def _state(challenge: str) -> dict[str, Any]:
    return {"challenge": challenge, "user_verification": VERIFIED}


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever a hostile answer does to fido2 and the parsers below it into one refusal."""
    try:
        yield
    except InvalidCredentialError:
        raise
    except Exception as error:
        logger.info("An answer of an authenticator was refused: %s.", type(error).__name__)
        raise InvalidCredentialError from error


def _refuse_frames(client_data: CollectedClientData) -> None:
    """Refuse an answer that was given within a page of another origin."""
    if client_data.cross_origin:
        raise InvalidCredentialError


def digest_of(credential: Credential) -> str:
    """Return the hash by which a credential is found."""
    with _refusing():
        return digest(websafe_decode(credential["rawId"]).hex())


def verify_registration(credential: Credential, challenge: str) -> int:
    """Check a new passkey (7.1), and return its counter; raises InvalidCredentialError."""
    with _refusing():
        data = _server().register_complete(_state(challenge), credential)
        answer = RegistrationResponse.from_dict(credential)
        _refuse_frames(answer.response.client_data)
        made: Any = data.credential_data
        is_sound = (
            made.credential_id == answer.raw_id
            and len(made.credential_id) <= MAX_CREDENTIAL_ID
            and made.public_key[3] in ALGORITHMS
        )
        if not is_sound:
            raise InvalidCredentialError
        return data.counter


def verify_assertion(
    credential: Credential, challenge: str, passkey: Passkey, *, is_alone: bool
) -> int:
    """Check an answer of a passkey (7.2), all but its counter, and return that.

    Who logs in by it alone is named by the user handle. Raises InvalidCredentialError.
    """
    known, owner = _credentials([passkey]), _handle(passkey.user)
    with _refusing():
        _server().authenticate_complete(_state(challenge), known, credential)
        answer = AuthenticationResponse.from_dict(credential).response
        _refuse_frames(answer.client_data)
        handle = answer.user_handle
        if (is_alone and handle is None) or (handle is not None and handle != owner):
            raise InvalidCredentialError
        return answer.authenticator_data.counter
