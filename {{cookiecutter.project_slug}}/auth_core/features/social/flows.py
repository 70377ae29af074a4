"""Binds what a provider grants to the client that asked: OAuth's state, its PKCE, OpenID Connect's nonce.

The state travels through URLs, so it proves nothing alone: a flow is taken with the flow token besides, which
its client got in a body and keeps to itself (RFC 9700, 4.7). Once, at one provider, for one purpose.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from allauth.socialaccount.providers.oauth2.utils import generate_code_challenge
from django.conf import settings
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from auth_core.digests import digest

from .models import Flow


def begin(provider: str, redirect_uri: str, user: Any) -> tuple[Flow, str, dict[str, Any]]:
    """Make a flow, its token, and the parameters of PKCE that go to the provider; to be saved."""
    seconds: int = settings.SOCIAL_FLOW_SECONDS  # type: ignore[misc] # of a feature: mypy reads the kernel's
    token, challenge = secrets.token_urlsafe(32), generate_code_challenge()
    flow = Flow(
        key=digest(token),
        provider=provider,
        redirect_uri=redirect_uri,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        code_verifier=challenge.pop("code_verifier"),
        user=user,
        expires_at=timezone.now() + timedelta(seconds=seconds),
    )
    return flow, token, challenge


def take(provider: str, token: str, state: str, user: Any) -> Flow:
    """Use a flow up; raises ValidationError (400) with the code `invalid_state` unless all of it fits."""
    flow = Flow.objects.filter(key=digest(token)).first()
    # Of those who race each other one deletes it.
    if flow is None or not Flow.objects.filter(key=flow.key).delete()[0]:
        raise invalid_state()
    fits = (
        flow.provider == provider
        and constant_time_compare(flow.state, state)
        and flow.user_id == (user and user.pk)
        and flow.expires_at > timezone.now()
    )
    if not fits:
        raise invalid_state()
    return flow


def invalid_state() -> ValidationError:
    """One answer for what is unknown, used, expired, of another provider, client or user."""
    problem = _("This login was not begun here, was finished before, or took too long.")
    return ValidationError({"non_field_errors": [problem]}, code="invalid_state")


def purge(now: datetime) -> int:
    return Flow.objects.filter(expires_at__lt=now).delete()[0]
