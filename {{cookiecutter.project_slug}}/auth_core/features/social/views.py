"""Endpoints of the logins at other providers, and of the accounts that are linked there."""

from typing import Any

from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.accounts.views import LOGIN_CODES, LoginOrStep, hide_passwords, log_in
from auth_core.http.errors import all_codes
from auth_core.http.schema import codes
from auth_core.http.views import PublicEndpoint, RateLimited
from auth_core.sessions.delivery import delivery
from auth_core.sessions.permissions import RecentlyAuthenticated
from auth_core.sessions.services import record_failed_login

from . import flows, providers, services
from .serializers import (
    BeginSerializer,
    BegunSerializer,
    FinishSerializer,
    SocialAccountSerializer,
)

UNCONFIGURED: dict[int, Any] = {404: codes("provider_not_configured")}
AWAY: dict[int, Any] = {503: codes("provider_unavailable")}
BEGUN: dict[int, Any] = {
    200: BegunSerializer,
    400: codes("invalid_redirect_uri"),
    **UNCONFIGURED,
    **AWAY,
}
REFUSED = (
    "invalid_code",
    "invalid_id_token",
    "invalid_issuer",
    "invalid_state",
    "provider_refused",
)


@hide_passwords  # codes and tokens of flows are like them
class AtProvider(RateLimited, GenericAPIView):
    """One end of a flow at a provider, of nobody who logs in or of a user who links."""

    provider = ""
    rate_limit = "social"

    def user(self) -> Any:
        """Return who links, and None for who logs in."""
        user = self.request.user
        return user if user.is_authenticated else None

    def begun(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        url, token = providers.authorization_url(
            self.provider,
            request._request,
            serializer.validated_data["redirect_uri"],
            self.user(),
        )
        return Response({"authorization_url": url, "flow_token": token})

    def brought_back(self, request: Request) -> dict[str, str]:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def exchange(self, data: dict[str, str], request: Request) -> SocialLogin:
        """Return who it is at the provider; the flow is used up whatever comes of it."""
        flow = flows.take(self.provider, data["flow_token"], data["state"], self.user())
        if "error" in data:
            problem = _("The provider did not log you in.")
            raise ValidationError({"non_field_errors": [problem]}, code="provider_refused")
        return providers.exchange(
            self.provider, request._request, flow, data["code"], data.get("iss")
        )


class BeginLoginView(AtProvider, PublicEndpoint):
    """Begin a login at the provider: send the user to `authorization_url`, keep `flow_token`."""

    serializer_class = BeginSerializer

    @extend_schema(responses=BEGUN)
    def post(self, request: Request) -> Response:
        return self.begun(request)


class LoginView(AtProvider, PublicEndpoint):
    """Log in, or register, with what the provider granted: 200 like a login.

    409 with the code `account_exists` for the address of somebody who has to log in and link first.
    """

    serializer_class = FinishSerializer

    @extend_schema(
        responses={
            200: LoginOrStep,
            400: codes("email_not_verified", *REFUSED, *LOGIN_CODES),
            403: codes("registration_closed"),
            409: codes("account_exists"),
            **UNCONFIGURED,
            **AWAY,
        }
    )
    def post(self, request: Request) -> Response:
        http_request, data = request._request, self.brought_back(request)
        try:
            login = self.exchange(data, request)
            user = services.user_of(login, self.provider, http_request)
        except APIException as error:
            reason = " ".join(sorted(all_codes(error.get_codes())))
            record_failed_login(reason, http_request, provider=self.provider)
            raise
        # No method of RFC 8176: the provider knows how, this project knows who.
        return log_in(self, user, http_request, amr=("fed",))


class BeginLinkView(AtProvider):
    """Begin to link an account at the provider to the own one."""

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = BeginSerializer

    @extend_schema(responses=BEGUN)
    def post(self, request: Request) -> Response:
        return self.begun(request)


class LinkView(AtProvider):
    """Link the account at the provider to the own one: 200, also where it was linked before.

    409 with the code `already_linked` where it is linked to another user.
    """

    permission_classes = (RecentlyAuthenticated,)
    serializer_class = FinishSerializer

    @extend_schema(
        responses={
            200: SocialAccountSerializer,
            400: codes(*REFUSED),
            409: codes("already_linked"),
            **UNCONFIGURED,
            **AWAY,
        }
    )
    def post(self, request: Request) -> Response:
        login = self.exchange(self.brought_back(request), request)
        account = services.link(request.auth, login, self.provider, request._request)
        return Response(SocialAccountSerializer(account).data)

    @extend_schema(responses={204: None, 400: codes("last_login_method")})
    def delete(self, request: Request) -> Response:
        """Unlink the provider: 400 with the code `last_login_method` where nothing is left to log in with.

        Every session that began at a provider ends, this one, too.
        """
        session: Any = request.auth
        services.unlink(session, self.provider, request._request)
        answer = Response(status=status.HTTP_204_NO_CONTENT)
        return delivery().clear(request, answer) if "fed" in session.amr else answer


@extend_schema_view(get=extend_schema(operation_id="social_account_list"))
class AccountListView(ListAPIView):
    """The accounts at providers that are linked to the user."""

    permission_classes = (IsAuthenticated,)
    serializer_class = SocialAccountSerializer
    pagination_class = None

    def get_queryset(self) -> Any:
        return SocialAccount.objects.filter(user=self.request.user.pk).order_by("pk")
