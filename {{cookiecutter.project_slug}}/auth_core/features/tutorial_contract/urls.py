"""URLs of the tutorial's contract; they come before the kernel's."""

from django.urls import path

from auth_core import policy

from .views import TutorialRefreshView

urlpatterns = [
    path(f"{policy.REFRESH_URL}/", TutorialRefreshView.as_view(), name="tutorial_refresh")
]
