"""Serves a page: static HTML whose form talks to the API."""

from django.views.generic import TemplateView

from auth_core import policy


class Page(TemplateView):
    extra_context = {
        "project_name": policy.PROJECT_NAME,
        "password_min_length": policy.PASSWORD_MIN_LENGTH,
    }
