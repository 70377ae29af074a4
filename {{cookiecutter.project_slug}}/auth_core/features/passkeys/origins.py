"""Where passkeys are used: the RP ID they belong to, and the origins of the pages that may ask for them.

A passkey belongs to one domain, its RP ID, for ever; pages of that domain and of those below it may use it
(WebAuthn Level 3, 5.1.2 and 13.4.9). Browsers have passkeys on https alone, and on http://localhost.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from auth_core.http.origins import origin_of

LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
DOMAIN = re.compile(rf"{LABEL}(\.{LABEL})+|localhost")
# What an app for Android says in place of an origin: SHA-256 of the certificate that signed it.
ANDROID = re.compile(r"android:apk-key-hash:[A-Za-z0-9_-]{43}")


def host_of(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def problem_of_rp_id(rp_id: str, *, is_production: bool) -> str | None:
    """Say what keeps browsers from taking an RP ID, if anything does."""
    try:
        ip_address(rp_id)
    except ValueError:
        pass
    else:
        return "is an address; passkeys belong to a domain"
    if not DOMAIN.fullmatch(rp_id) or len(rp_id) > 253:
        return "is no domain in lower case (in ASCII, xn--... for others)"
    if is_production and rp_id == "localhost":
        return "is localhost in production"
    return None


def problem_of_origin(origin: str, rp_id: str, *, is_production: bool) -> str | None:
    """Say what keeps an origin from using the passkeys of an RP ID, if anything does."""
    if ANDROID.fullmatch(origin):
        return None
    try:
        is_one = origin == origin_of(origin)
    except ValueError:
        is_one = False
    host = host_of(origin) if is_one else ""
    if not is_one or not origin.startswith(("https://", "http://")) or not host:
        return "holds what is no origin (https://HOST, with a port if need be, without a path)"
    if origin.startswith("http:") and (is_production or host != "localhost"):
        return "holds http, which browsers allow on localhost alone, and production never"
    if host != rp_id and not host.endswith(f".{rp_id}"):
        return f"holds {origin}, which is not in the domain {rp_id}"
    return None
