"""Makes the users, as the Django peers' seed.py does."""

import sys

from app import User, engine, hasher
from sqlmodel import Session

prefix, count, password = sys.argv[1], int(sys.argv[2]), sys.argv[3]
hashed = hasher.hash(password)
with Session(engine) as database:
    names = [f"{prefix}{number}" for number in range(count)]
    database.add_all(
        User(username=name, email=f"{name}@example.com", password=hashed) for name in names
    )
    database.commit()
