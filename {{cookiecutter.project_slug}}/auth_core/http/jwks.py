"""The public keys, for services that verify access tokens themselves (RFC 7517)."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from auth_core.sessions.keys import key_ring


@require_safe
def jwks(request: HttpRequest) -> JsonResponse:
    """Answer {"keys": [{"kty", "crv", "x", "kid", "use", "alg"}, ...]}; cached five minutes."""
    response = JsonResponse(key_ring().jwks)
    response["Cache-Control"] = "public, max-age=300"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
