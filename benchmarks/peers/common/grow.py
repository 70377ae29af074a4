"""Fills the rendered project's database: `python grow.py fill UNTIL` adds users with a session.

`python grow.py tokens COUNT` prints an access and a refresh token of so many sessions, at random.
"""

import sys
from typing import Any

import django

django.setup()

from django.contrib.auth import get_user_model
from django.db import connection

from auth_core.sessions.models import AuthSession
from auth_core.sessions.tokens import AccessToken, RefreshToken

User = get_user_model()
USERS, SESSIONS = "users_user", "auth_sessions_authsession"
# Rows of one statement.
STEP = 250_000
GROW = """
WITH grown AS (
    INSERT INTO {users} (id, username, email, {of_user})
    SELECT gen_random_uuid(), 'grown' || n, 'grown' || n || '@example.com', {of_user}
    FROM {users}, generate_series(%s::int, %s::int) n WHERE id = %s
    RETURNING id AS grown_id
)
INSERT INTO {sessions} (id, user_id, {of_session})
SELECT gen_random_uuid(), grown_id, {of_session} FROM {sessions}, grown WHERE id = %s
"""


def columns(model: Any, *without: str) -> str:
    """List a table's columns but some, to be copied from a row that Django made."""
    fields = model._meta.concrete_fields
    return ", ".join(field.column for field in fields if field.column not in without)


def fill(until: int) -> None:
    """Copy the session of the user who logged in, and the user, until there are so many."""
    session = AuthSession.objects.get(user__username="fast0")
    sql = GROW.format(
        users=USERS,
        sessions=SESSIONS,
        of_user=columns(User, "id", "username", "email"),
        of_session=columns(AuthSession, "id", "user_id"),
    )
    with connection.cursor() as cursor:
        for first in range(AuthSession.objects.count(), until, STEP):
            last = min(first + STEP, until) - 1
            cursor.execute(sql, [first, last, session.user_id, session.pk])
        cursor.execute("VACUUM ANALYZE")


def tokens(count: int) -> None:
    """Print two tokens a line."""
    per_cent = 100 * min(1, 3 * count / AuthSession.objects.count())
    picked = AuthSession.objects.raw(
        f"SELECT * FROM {SESSIONS} TABLESAMPLE BERNOULLI (%s) "
        "WHERE absolute_expires_at > now() ORDER BY random() LIMIT %s",
        [per_cent, count],
    )
    for session in picked:
        print(AccessToken.for_session(session), RefreshToken.for_session(session))


if __name__ == "__main__":
    {"fill": fill, "tokens": tokens}[sys.argv[1]](int(sys.argv[2]))
