"""The Django application of the mails: its command is the worker."""

from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "auth_core.mail"
    label = "auth_mail"
    verbose_name = "Mails"
