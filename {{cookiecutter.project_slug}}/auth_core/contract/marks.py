"""Marks that several files of tests share: what a test needs of the policy, and of the database."""

import pytest
from django.conf import settings

from auth_core import policy

# Races need transactions of their own.
real_transactions = pytest.mark.django_db(transaction=True)
registration_is_open = pytest.mark.skipif(
    policy.REGISTRATION != "open", reason="registration is not open by the policy"
)
verification_is_mandatory = pytest.mark.skipif(
    policy.EMAIL_VERIFICATION != "mandatory", reason="verification is not mandatory by the policy"
)
there_are_user_names = pytest.mark.skipif(
    policy.LOGIN_WITH == "email", reason="no user names by the policy"
)
admin_is_here = pytest.mark.skipif(not settings.ADMIN_PATH, reason="the admin is switched off")
