"""OAuth2 with JWT as FastAPI's documentation says, SQLModel, and rotation with a blacklist."""

import hashlib
import os
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pwdlib import PasswordHash
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, create_engine, select

KEY = os.environ["SECRET_KEY"]
LIFETIMES = {"access": timedelta(minutes=5), "refresh": timedelta(days=1)}
# As many connections as each of the other servers has in a process.
engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"),
    pool_size=4,
    max_overflow=0,
)
queries: ContextVar[list[str]] = ContextVar("queries")


class User(SQLModel, table=True):
    __tablename__ = "users"
    id: int | None = Field(default=None, primary_key=True)
    username: str = Field(unique=True)
    email: str
    password: str
    is_active: bool = True
    first_name: str = ""
    last_name: str = ""


class Blacklisted(SQLModel, table=True):
    jti: str = Field(primary_key=True)


class Credentials(SQLModel):
    username: str
    password: str


class NewUser(Credentials):
    email: str


class Refresh(SQLModel):
    refresh: str


class UserAnswer(SQLModel):
    id: int
    username: str
    email: str
    first_name: str
    last_name: str


class Fast:
    """Stands for no hash, as the other peers' MD5 does."""

    def hash(self, password: str) -> str:
        return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()

    def verify(self, password: str, hashed: str) -> bool:
        return self.hash(password) == hashed


hasher = Fast() if "FAST_HASHER" in os.environ else PasswordHash.recommended()


def session():
    with Session(engine) as opened:
        yield opened


Database = Annotated[Session, Depends(session)]
Bearer = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


def token(user_id: int, kind: str) -> str:
    expires = datetime.now(UTC) + LIFETIMES[kind]
    claims = {"sub": str(user_id), "type": kind, "exp": expires, "jti": uuid.uuid4().hex}
    return jwt.encode(claims, KEY, "HS256")


def pair(user_id: int) -> dict[str, str]:
    return {kind: token(user_id, kind) for kind in LIFETIMES}


def claims_of(text: str, kind: str) -> dict[str, str]:
    try:
        claims = jwt.decode(text, KEY, ["HS256"])
    except jwt.PyJWTError as error:
        raise HTTPException(401, "Invalid token") from error
    if claims["type"] != kind:
        raise HTTPException(401, "Invalid token")
    return claims


def active_user(database: Session, user_id: str) -> User:
    user = database.get(User, int(user_id))
    if user is None or not user.is_active:
        raise HTTPException(401, "No such user")
    return user


app = FastAPI()


@app.get("/user", response_model=UserAnswer)
def own_user(bearer: Bearer, database: Database):
    return active_user(database, claims_of(bearer.credentials, "access")["sub"])


@app.post("/login")
def login(credentials: Credentials, database: Database):
    user = database.exec(select(User).where(User.username == credentials.username)).first()
    if user is None or not hasher.verify(credentials.password, user.password):
        raise HTTPException(401, "Wrong name or password")
    return pair(user.id)


@app.post("/refresh")
def refresh(body: Refresh, database: Database):
    claims = claims_of(body.refresh, "refresh")
    user_id = active_user(database, claims["sub"]).id
    database.add(Blacklisted(jti=claims["jti"]))
    try:
        database.commit()
    except IntegrityError as error:
        raise HTTPException(401, "Token is blacklisted") from error
    return pair(user_id)


@app.post("/register", status_code=201, response_model=UserAnswer)
def register(new: NewUser, database: Database):
    user = User(username=new.username, email=new.email, password=hasher.hash(new.password))
    database.add(user)
    try:
        database.commit()
    except IntegrityError as error:
        raise HTTPException(400, "The name is taken") from error
    database.refresh(user)
    return user


if "COUNT_QUERIES" in os.environ:

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, statement, *rest):
        queries.get([]).append(statement)

    @app.middleware("http")
    async def count(request, call_next):
        queries.set(noted := [])
        response: Response = await call_next(request)
        response.headers["X-Queries"] = str(len(noted))
        return response
