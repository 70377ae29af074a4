"""The Django application of the audit trail."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "auth_core.audit"
    label = "auth_audit"
    verbose_name = "Audit trail"
