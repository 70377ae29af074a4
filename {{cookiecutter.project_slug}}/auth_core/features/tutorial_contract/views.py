"""The tutorial's refresh: an unexpired token is exchanged for a fresh one."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from auth_core.http.schema import codes
from auth_core.sessions import services
from auth_core.sessions.tokens import AccessToken
from auth_core.sessions.views import RefreshView
from auth_core.throttling.limits import count_use

from .serializers import TutorialRefreshAnswer, TutorialRefreshSerializer


class TutorialRefreshView(RefreshView):
    """Exchange {"token"} for a new {"token"} while its session lives, or {"refresh"} as the kernel does.

    The session itself is not prolonged by its access token: it ends REFRESH_TOKEN_DAYS after the login.
    """

    serializer_class = TutorialRefreshSerializer

    @extend_schema(
        operation_id="token_refresh",
        responses={
            200: TutorialRefreshAnswer,
            400: codes("required"),
            401: codes(*services.TOKEN_CODES),
        },
        examples=[
            OpenApiExample("refresh token", value={"refresh": "eyJhbGciOi..."}, request_only=True),
            OpenApiExample("tutorial", value={"token": "eyJhbGciOi..."}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if "refresh" in serializer.validated_data:
            return super().post(request)
        session = services.live_session(serializer.validated_data["token"])
        count_use("refresh", request._request, key=str(session.pk))
        return Response({"token": str(AccessToken.for_session(session))})
