import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import auth_core.accounts.fields


class Migration(migrations.Migration):
    dependencies = [
        ("auth_accounts", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Registration",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "username",
                    auth_core.accounts.fields.CanonicalCharField(
                        db_index=True, max_length=150, null=True, verbose_name="username"
                    ),
                ),
                (
                    "email",
                    auth_core.accounts.fields.CanonicalEmailField(
                        db_index=True, max_length=254, verbose_name="email address"
                    ),
                ),
                ("password", models.CharField(blank=True, max_length=128)),
                ("requested_at", models.DateTimeField(verbose_name="requested")),
                ("activated_at", models.DateTimeField(null=True, verbose_name="activated")),
                ("ip", models.GenericIPAddressField(null=True, verbose_name="IP address")),
                (
                    "user_agent",
                    models.CharField(blank=True, max_length=200, verbose_name="user agent"),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="registration",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "registration",
                "verbose_name_plural": "registrations",
                "ordering": ("-requested_at",),
            },
        ),
    ]
