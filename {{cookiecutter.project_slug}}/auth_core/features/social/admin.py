"""Takes from the admin what has its place in the environment, or nowhere: clients' secrets, providers' tokens."""

from allauth.socialaccount.models import SocialApp, SocialToken
from django.contrib import admin

admin.site.unregister([SocialApp, SocialToken])
