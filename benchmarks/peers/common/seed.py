"""Makes the users of a Django peer: `python seed.py PREFIX COUNT PASSWORD`, hashed once for all."""

import sys

import django

django.setup()

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password

prefix, count, password = sys.argv[1], int(sys.argv[2]), sys.argv[3]
User = get_user_model()
names = [f"{prefix}{number}" for number in range(count)]
hashed = make_password(password)
users = User.objects.bulk_create(
    User(username=name, email=f"{name}@example.com", password=hashed) for name in names
)
if apps.is_installed("allauth.account"):
    from allauth.account.models import EmailAddress

    EmailAddress.objects.bulk_create(
        EmailAddress(user=user, email=user.email, verified=True, primary=True) for user in users
    )
