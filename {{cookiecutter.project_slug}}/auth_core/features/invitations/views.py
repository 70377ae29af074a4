"""Endpoints of who invites, and the registration of who was invited."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest
from django.utils.module_loading import import_string
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.accounts.views import REGISTRATION_CODES, LoginAnswer, RegisterView, login_answer
from auth_core.http.schema import codes
from auth_core.http.views import RateLimited
from auth_core.sessions import services as sessions

from . import services
from .models import Invitation
from .serializers import InvitationSerializer

# Of a feature: mypy reads the kernel's.
MayInvite = import_string(settings.INVITATION_PERMISSION)  # type: ignore[misc]


class Pages(LimitOffsetPagination):
    default_limit = max_limit = 100


class OwnInvitations(RateLimited):
    """The invitations that the user sent."""

    permission_classes = (MayInvite,)
    rate_limit = "invite"

    def get_queryset(self) -> Any:
        return Invitation.objects.filter(invited_by=self.request.user.pk)


@extend_schema_view(get=extend_schema(operation_id="invitation_list"))
class InvitationListView(OwnInvitations, ListAPIView):
    """List the own invitations, the newest first: `?limit=` (at most 100) and `?offset=`."""

    serializer_class = InvitationSerializer
    pagination_class = Pages

    @extend_schema(operation_id="invitation_create", responses={201: InvitationSerializer})
    def post(self, request: Request) -> Response:
        """Invite an address by mail: 201, whether it has an account or not.

        Inviting it again replaces the link, and makes the invitation one's own.
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        invitation = services.invite(serializer.validated_data["email"], request._request)
        return Response(self.get_serializer(invitation).data, status=status.HTTP_201_CREATED)


class InvitationView(OwnInvitations):
    @extend_schema(operation_id="invitation_revoke", responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Withdraw a pending invitation: its link ends."""
        if not services.revoke(self.get_queryset().filter(pk=pk), request._request):
            raise Http404
        return Response(status=status.HTTP_204_NO_CONTENT)


class ResendInvitationView(OwnInvitations):
    @extend_schema(
        operation_id="invitation_resend",
        request=None,
        responses={200: InvitationSerializer},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Mail a pending invitation again, with a new link and the whole time; the old link ends."""
        own = self.get_queryset().filter(pk=pk)
        if not services.renew(own, request._request):
            raise Http404
        return Response(InvitationSerializer(own.get()).data)


class InvitedRegisterView(RegisterView):
    """Register with the key of a mailed invitation: 201 with a token pair and the user.

    400 with the code `invalid_invitation` for a key that is wrong, used, withdrawn or expired.
    """

    # The key was read in a mail to the address.
    is_pending = False

    def is_open(self, request: HttpRequest) -> bool:
        return True

    @extend_schema(
        operation_id="register",
        responses={
            201: LoginAnswer,
            400: codes("email_taken", "invalid_invitation", *REGISTRATION_CODES),
        },
    )
    def post(self, request: Request) -> Response:
        return super().post(request)

    def answer(self, http_request: HttpRequest, user: Any, email: str | None) -> Response:
        """Log in at once: the address needs no verification."""
        pair = sessions.start_session(user, http_request)
        return login_answer(self, pair, status.HTTP_201_CREATED)
