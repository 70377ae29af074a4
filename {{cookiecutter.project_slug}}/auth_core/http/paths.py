"""Says which part of the project a request is for."""

from django.conf import settings
from django.http import HttpRequest


def is_in_admin(request: HttpRequest) -> bool:
    where: str = settings.ADMIN_PATH
    return bool(where) and f"{request.path_info}/".startswith(f"/{where}/")
