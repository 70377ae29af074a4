"""Serves a page in the caller's language: HTML without secrets, whose scripts talk to the API."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.generic import TemplateView

from auth_core import policy

from .extensions import extensions

# Stricter than the middleware's for pages: no style may stand in the HTML, and no form leaves without a script.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def language_of(request: HttpRequest) -> str:
    """Return the language that the caller likes best of those the pages are translated to."""
    # Of a feature: mypy reads the kernel's.
    known: list[str] = settings.PAGES_LANGUAGES  # type: ignore[misc]
    for tag, _quality in parse_accept_lang_header(request.headers.get("Accept-Language", "")):
        for candidate in (tag, tag.partition("-")[0]):
            if candidate in known:
                return candidate
    return known[0]


def client_options() -> dict[str, Any]:
    """Return what the client and the scripts of the pages need to know of this project."""
    return {
        "base": reverse("rest_user_details").removesuffix("user/"),
        "refresh": reverse("token_refresh"),
        "delivery": "header" if policy.TOKEN_DELIVERY == "header" else "cookie",
        "scheme": policy.AUTH_HEADER_TYPE,
        "account": reverse("page_account"),
        "login": reverse("page_login"),
        "texts": {
            "unreachable": gettext("The server does not answer. Try again in a moment."),
            "step": gettext("This login needs a step that these pages do not know."),
        },
    }


class Page(TemplateView):
    http_method_names = ["get", "head", "options"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        language = language_of(request)
        with translation.override(language):
            response = super().dispatch(request, *args, **kwargs)
            if isinstance(response, TemplateResponse):
                response.render()
        response.headers["Content-Language"] = language
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {}
        slots: dict[str, list[str]] = {}
        for each in extensions():
            context |= each.context()
            for slot, template in each.slots.items():
                slots.setdefault(slot, []).append(template)
        own = {"policy": policy, "options": client_options(), "slots": slots}
        return super().get_context_data(**context, **own, **kwargs)
