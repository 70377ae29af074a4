"""Who may read the API documents."""

from typing import Any

from django.conf import settings
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request


class MayReadDocuments(IsAdminUser):
    """Anybody where API_DOCUMENTS_ARE_PUBLIC, as in development; staff elsewhere."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return settings.API_DOCUMENTS_ARE_PUBLIC or super().has_permission(request, view)
