"""Triggers, so that the database itself refuses changes.

Nothing updates a row, and nothing deletes one before its time. They bind whoever may not change tables, which the role
that serves should not (docs/security.md). On SQLite `flush` is refused as well, because it deletes.
A migration that changes the table on SQLite makes it anew, and must make the triggers anew.
"""

from django.db import migrations

from auth_core import policy

# One day less than `purge` keeps: the clocks of the two need not agree.
KEPT = f"{policy.AUDIT_RETENTION_DAYS - 1} days"

REFUSE = "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
TABLE = "auth_audit_auditevent"
CREATE = {
    "postgresql": [
        """CREATE FUNCTION auth_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit trail is append-only'
                USING ERRCODE = 'integrity_constraint_violation';
        END $$""",
        f"""CREATE TRIGGER auth_audit_no_update BEFORE UPDATE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION auth_audit_refuse()""",
        f"""CREATE TRIGGER auth_audit_no_delete BEFORE DELETE ON {TABLE}
        FOR EACH ROW WHEN (OLD.time > now() - interval '{KEPT}')
        EXECUTE FUNCTION auth_audit_refuse()""",
    ],
    "sqlite": [
        f"CREATE TRIGGER auth_audit_no_update BEFORE UPDATE ON {TABLE} {REFUSE}",
        f"""CREATE TRIGGER auth_audit_no_delete BEFORE DELETE ON {TABLE}
        WHEN OLD.time > datetime('now', '-{KEPT}') {REFUSE}""",
        # REPLACE deletes without asking the trigger above.
        f"""CREATE TRIGGER auth_audit_no_replace BEFORE INSERT ON {TABLE}
        WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id) {REFUSE}""",  # noqa: S608
    ],
}
DROP = {
    "postgresql": ["DROP FUNCTION auth_audit_refuse CASCADE"],
    "sqlite": [f"DROP TRIGGER auth_audit_no_{what}" for what in ("update", "delete", "replace")],
}


def create(apps, schema_editor):
    _run(CREATE, schema_editor)


def drop(apps, schema_editor):
    _run(DROP, schema_editor)


def _run(statements, schema_editor):
    for statement in statements.get(schema_editor.connection.vendor, []):
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("auth_audit", "0001_initial")]

    operations = [
        migrations.RunPython(create, drop),
    ]
