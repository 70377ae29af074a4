"""dj-rest-auth's own test cases, made to ask a rendered project: copied into it and run there.

The cases stay as they are. What differs by design between the suite's project and a rendered one
is translated, and no more than this:

* The suite's token is `key`, an opaque one; the project's is a JWT. `access` is called `key` here.
* The suite's anonymous requests end in 403, since Django's session is its first authentication;
  with JWT alone dj-rest-auth answers 401, and so does the project.
* A password like `person` will do, unless the case itself sets validators.
* Cases ask faster than people: what was counted to limit guessing is forgotten at each request.
* The suite makes the `uid` and `token` of a link itself; here they are read in the mail.
* A user name that is an e-mail address is left out: no user name of the project has an @.
* A test never commits: what waits for that, like a mail, happens at the end of each request.
"""

import sys
from types import ModuleType
from typing import Any
from unittest import mock

import dj_rest_auth.tests
from dj_rest_auth.tests import test_api
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.cache import cache
from django.test import override_settings
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

import config.urls
from auth_core.testing import link_secrets

# URLs that the set-up of every case looks up, of views that the project does not have.
ABSENT = """
fb_connect fb_login getcsrf no_password_rest_register social_account_list tw_connect tw_login
tw_login_no_adapter tw_login_no_view
""".split()


class ProtectedView(APIView):  # type: ignore[misc]
    def get(self, _request: Any) -> Response:
        return Response()

    post = get


urls = ModuleType("tests.urls")
urls.urlpatterns = [  # type: ignore[attr-defined]
    *config.urls.urlpatterns,
    path("protected-view/", ProtectedView.as_view()),
    *(path(f"absent/{name}/", APIView.as_view(), name=name) for name in ABSENT),
]
# The suite calls itself `tests`.
sys.modules |= {"tests": dj_rest_auth.tests, "tests.urls": urls}


@override_settings(AUTH_PASSWORD_VALIDATORS=[])
class Cases(test_api.APIBasicTests):  # type: ignore[misc]
    def setUp(self) -> None:
        super().setUp()
        users = get_user_model().objects
        create = users.create_user

        def create_user(username: str, *args: Any, **kwargs: Any) -> Any:
            return create(None if "@" in username else username, *args, **kwargs)

        self.enterContext(mock.patch.object(users, "create_user", create_user))

    def send_request(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("status_code") == 403 and not hasattr(self, "token"):
            kwargs["status_code"] = 401
        cache.clear()
        with self.captureOnCommitCallbacks(execute=True):
            response = super().send_request(*args, **kwargs)
        for body in (response.json, getattr(response, "data", None)):
            if body and "access" in body:
                body["key"] = body["access"]
        return response

    def _generate_uid_and_token(self, user: Any) -> Any:
        self.post(self.password_reset_url, data={"email": user.email}, status_code=200)
        return link_secrets(mail.outbox[-1])
