"""Every URL: yours first, then the kernel's."""

from django.urls import URLPattern, URLResolver

from auth_core.urls import handler400, handler403, handler404, handler500
from auth_core.urls import urlpatterns as auth_urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns: list[URLPattern | URLResolver] = [
    # path("api/orders/", include("orders.urls")),
    *auth_urlpatterns,
]
