from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("auth_sessions", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="authsession",
            name="delivery",
            field=models.CharField(
                choices=[
                    ("header", "header"),
                    ("cookie", "cookie"),
                    ("django", "Django's session cookie"),
                ],
                default="header",
                max_length=10,
            ),
        ),
    ]
