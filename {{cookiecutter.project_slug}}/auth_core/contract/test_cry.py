"""Group CRY: keys, hashes and secrets, in the running project and in its source."""

import ast
import importlib.util
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from django.contrib.auth.tokens import default_token_generator
from django.core import signing
from django.core.management import CommandError, call_command
from rest_framework_simplejwt.settings import api_settings

from auth_core import env, features, policy, secrets_file
from auth_core import settings as project_settings
from auth_core.sessions.keys import Key, KeyRing, decode, encode, key_ring
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    DELIVERIES,
    OTHER_PASSWORD,
    Account,
    Answer,
    Api,
    claims_of,
    header_of,
    link_secrets,
)

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

SYMMETRIC = policy.SIGNING_ALGORITHM == "HS256"
CORE = Path(env.__file__).parent
SECRET_KEY = "s3cr3t-" * 10


# Tests that no token travels in need not run once for every delivery.
once = pytest.mark.parametrize("_delivery", DELIVERIES[policy.TOKEN_DELIVERY][:1], indirect=True)


@cache
def sources() -> dict[str, ast.Module]:
    """The kernel's own code by path, without its tests and migrations."""
    apart = {"contract", "tests", "migrations", "testing.py"}
    return {
        path.relative_to(CORE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(CORE.rglob("*.py"))
        if not apart & set(path.relative_to(CORE).parts)
    }


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, Any]]:
    for path, tree in sources().items():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, kind))


def started(monkeypatch: pytest.MonkeyPatch, **environment: str) -> ModuleType:
    """Read the settings once more, as a start with this environment would."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("auth_core.again", CORE / "settings.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- Algorithms ----------------------------------------------------------------------------


@once
def test_no_broken_hash() -> None:
    """CRY-01: neither MD5 nor SHA-1 is named in the kernel, and no HMAC falls back on Django's SHA-1."""
    broken = re.compile(
        r"(?i)\A(?:\w+[._])?(?:md5|sha-?1)(?:[._]?\w+)?\Z|md5_?hash|passwordhasher.*md5"
    )
    found = []
    for kind, name_of in (
        (ast.Name, lambda node: node.id),
        (ast.Attribute, lambda node: node.attr),
        (ast.alias, lambda node: node.name),
        (ast.Constant, lambda node: node.value if isinstance(node.value, str) else ""),
    ):
        found += [
            f"{path}: {name_of(node)}" for path, node in nodes(kind) if broken.search(name_of(node))
        ]
    for path, node in nodes(ast.Call):
        if ast.unparse(node.func).endswith("salted_hmac"):
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if given.get("algorithm") != "'sha256'":
                found.append(f"{path}: {ast.unparse(node)}")
    assert found == []


@once
def test_the_libraries_hash_well(account: Account) -> None:
    """CRY-01: what the libraries sign and hash for us is SHA-256 or better, and passwords are Argon2id."""
    assert api_settings.CHECK_REVOKE_TOKEN is False
    assert default_token_generator.algorithm == "sha256"
    assert signing.Signer().algorithm == "sha256"
    assert len(account.user.get_session_auth_hash()) == 64
    # The tests themselves hash passwords fast.
    hashers = project_settings.PASSWORD_HASHERS
    assert hashers[0] == "auth_core.accounts.hashers.Argon2idHasher"
    assert not [name for name in hashers if re.search("MD5|SHA1|Unsalted", name)]


@once
@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_the_linter_finds_no_danger() -> None:
    """CRY-01: bandit's rules, as ruff has them, find nothing in the kernel."""
    # S105 takes every setting named TOKEN_... for a password.
    rules = ["--select", "S", "--ignore", "S105"]
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", *rules, str(CORE)]
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=env.BASE_DIR, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- Weak keys -----------------------------------------------------------------------------


def der(private: Any, password: bytes | None = None) -> str:
    protection: Any = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return encode(
        private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, protection
        )
    )


def public(private: Any, encoding: serialization.Encoding) -> str:
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return encode(private.public_key().public_bytes(encoding, info))


def weak_keys() -> dict[str, str]:
    random = os.urandom(64)
    ed = ed25519.Ed25519PrivateKey.generate()
    p256 = ec.generate_private_key(ec.SECP256R1())
    rsa_2048 = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, raw = serialization.Encoding.PEM, serialization.Encoding.DER
    unknown_curve = decode(der(ed)).replace(b"\x2b\x65\x70", b"\x2b\x65\x7f")
    return {
        "HS256 of 128 bits": f"HS256:{encode(random[:16])}",
        "HS256 of 248 bits": f"HS256:{encode(random[:31])}",
        "HS256 of nothing": "HS256:",
        "HS256 of zeros": f"HS256:{encode(bytes(32))}",
        "HS256 of two letters": f"HS256:{encode(b'ab' * 32)}",
        "HS256 of a public key": f"HS256:{public(p256, pem)}",
        "HS256 not base64url": f"HS256:{encode(random)[:60]}!$%&",
        "HS256 cut short": f"HS256:{encode(random)[:45]}",
        "HS256 beyond ASCII": f"HS256:{encode(random)[:40]}äöüß",
        "RS256 of 2048 bits": f"RS256:{der(rsa_2048)}",
        "RS256 of another kind": f"RS256:{der(p256)}",
        "ES256 of P-384": f"ES256:{der(ec.generate_private_key(ec.SECP384R1()))}",
        "ES256 of secp256k1": f"ES256:{der(ec.generate_private_key(ec.SECP256K1()))}",
        "ES256 of another kind": f"ES256:{der(ed)}",
        "EdDSA of Ed448": f"EdDSA:{der(ed448.Ed448PrivateKey.generate())}",
        "EdDSA of X25519": f"EdDSA:{der(x25519.X25519PrivateKey.generate())}",
        "EdDSA of another kind": f"EdDSA:{der(p256)}",
        "EdDSA of random bytes": f"EdDSA:{encode(random[:32])}",
        "EdDSA of an unknown curve": f"EdDSA:{encode(unknown_curve)}",
        "EdDSA cut short": f"EdDSA:{der(ed)[:-8]}",
        "EdDSA under a password": f"EdDSA:{der(ed, b'password')}",
        "a public key": f"EdDSA:{public(ed, raw)}",
        "no algorithm": encode(random),
        "algorithm none": f"none:{encode(random)}",
        "HS512": f"HS512:{encode(random)}",
        "hs256": f"hs256:{encode(random)}",
        "both families": f"HS256:{encode(random)},EdDSA:{der(ed)}",
        "nothing": "",
    }


def assert_says_no_key(message: str, entries: str) -> None:
    for entry in entries.split(","):
        text = entry.rpartition(":")[2]
        assert not [
            text[at : at + 8] for at in range(len(text) - 7) if text[at : at + 8] in message
        ]


@once
def test_a_weak_or_malformed_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRY-02: a key below 256 bit (HMAC), 3072 bit (RSA), P-256 or Ed25519 stops the start in one line."""
    for name, entries in weak_keys().items():
        with pytest.raises(SystemExit) as stopped:
            started(monkeypatch, AUTH_SIGNING_KEYS=entries)
        message = str(stopped.value.code)
        assert re.fullmatch("AUTH_SIGNING_KEYS: .+; .+`make secret`", message), name
        assert_says_no_key(message, entries)


@once
@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA", "ES256", "RS256"])
def test_a_generated_key_is_strong(algorithm: str) -> None:
    """CRY-02: the keys that we make are of the size that we demand, and sign and verify."""
    key = KeyRing([str(Key.generate(algorithm))]).signer
    token = jwt.encode({"a": 1}, key.signing, algorithm)
    options: Any = {"enforce_minimum_key_length": True}
    assert jwt.decode(token, key.verifying, [algorithm], options=options) == {"a": 1}
    sizes = {"HS256": 256, "EdDSA": None, "ES256": 256, "RS256": 3072}
    size = len(key.signing) * 8 if key.symmetric else getattr(key.signing, "key_size", None)
    assert size == sizes[algorithm]


@once
def test_a_key_of_the_other_family_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRY-02: a ring of another family than the policy's stops the start, and the line says what to do."""
    other = str(Key.generate("EdDSA" if SYMMETRIC else "HS256"))
    with pytest.raises(SystemExit) as stopped:
        started(monkeypatch, AUTH_SIGNING_KEYS=other)
    message = str(stopped.value.code)
    assert message.startswith("AUTH_SIGNING_KEYS: holds ")
    assert policy.SIGNING_ALGORITHM in message
    assert_says_no_key(message, other)


def reused(secret: str) -> dict[str, str]:
    raw = secret.encode()
    return {
        "as it stands": f"HS256:{secret}",
        "encoded": f"HS256:{encode(raw)}",
        "half of it": f"HS256:{secret[:44]}",
        "half of it, encoded": f"HS256:{encode(raw[:40])}",
        "with more around it": f"HS256:{encode(b'x' + raw + b'y')}",
    }


@once
def test_the_secret_key_signs_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRY-03: the SECRET_KEY, an earlier one, or a part of either is refused as a signing key."""
    now, earlier = encode(os.urandom(63)), encode(os.urandom(63))
    for secret in (now, earlier):
        for name, entry in reused(secret).items():
            keys = f"{Key.generate('HS256')},{entry}"
            with pytest.raises(SystemExit) as stopped:
                started(
                    monkeypatch,
                    SECRET_KEY=now,
                    SECRET_KEY_FALLBACKS=earlier,
                    AUTH_SIGNING_KEYS=keys,
                )
            message = str(stopped.value.code)
            assert message.startswith("AUTH_SIGNING_KEYS: is the SECRET_KEY; "), name
            assert_says_no_key(message, keys)
    sound = str(Key.generate(policy.SIGNING_ALGORITHM))
    assert sound in started(monkeypatch, SECRET_KEY=now, AUTH_SIGNING_KEYS=sound).AUTH_SIGNING_KEYS


def manage(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "manage.py", *arguments],
        cwd=env.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@once
def test_a_command_that_cannot_start_says_one_line() -> None:
    """CRY-02, CRY-03: `manage.py check` ends with status 1 and one line, without a key, on a bad ring."""
    secret = encode(os.urandom(63))
    rings = {
        "weak": f"HS256:{encode(os.urandom(16))}",
        "malformed": f"EdDSA:{encode(os.urandom(40))}",
        "reused": f"HS256:{secret[:44]}",
    }
    running = {
        ring: manage("check", SECRET_KEY=secret, AUTH_SIGNING_KEYS=ring) for ring in rings.values()
    }
    for ring, process in running.items():
        out, message = process.communicate(timeout=60)
        assert (process.returncode, out, message.count("\n")) == (1, "", 1)
        assert message.startswith("AUTH_SIGNING_KEYS: ")
        assert_says_no_key(message, ring)


# --- Rotation ------------------------------------------------------------------------------


@pytest.fixture
def authkeys(settings: Any) -> Callable[..., str]:
    """Run the command as an operator does, and restart with the ring that it prints."""

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("authkeys", *arguments, stdout=out)
        printed = re.fullmatch(r"AUTH_SIGNING_KEYS=(\S+)\n", out.getvalue())
        if printed:
            settings.AUTH_SIGNING_KEYS = printed.group(1).split(",")
        return out.getvalue()

    return run


def refresh(client: Api) -> Answer:
    """Refresh; a cookie client whose proof is refused takes a new one."""
    answer = client.send_refresh()
    if answer.code != "csrf_failed":
        return answer
    client.csrf = None
    return client.send_refresh()


def test_an_operator_replaces_the_key(account: Account, authkeys: Callable[..., str]) -> None:
    """CRY-03: `authkeys` adds, switches to and retires a key, and nobody is logged out before the last step."""
    away, busy = account.log_in(), account.log_in()
    old = header_of(away.access)["kid"]
    algorithm = policy.SIGNING_ALGORITHM
    assert authkeys("list") == f"{old}  {algorithm}  signs\n"

    authkeys("add")
    listed = [line.split() for line in authkeys("list").splitlines()]
    new = listed[1][0]
    assert listed == [[old, algorithm, "signs"], [new, algorithm, "verifies"]]
    assert header_of(account.log_in().access)["kid"] == old
    assert busy.is_alive

    authkeys("sign", new)
    listed = [line.split() for line in authkeys("list").splitlines()]
    assert listed == [[new, algorithm, "signs"], [old, algorithm, "verifies"]]
    assert away.is_alive
    assert busy.is_alive
    busy = busy.refreshed()
    assert header_of(busy.refresh)["kid"] == header_of(busy.access)["kid"] == new

    authkeys("retire", old)
    assert authkeys("list") == f"{new}  {algorithm}  signs\n"
    assert busy.is_alive
    assert busy.refreshed().is_alive
    assert not away.is_alive
    assert refresh(away).code == "token_not_valid"


def test_what_an_operator_may_not_do(
    account: Account, authkeys: Callable[..., str], settings: Any, tmp_path: Path
) -> None:
    """CRY-03: a mistake is refused with a reason and changes nothing; no message holds a key."""
    client, ring = account.log_in(), list(settings.AUTH_SIGNING_KEYS)
    signer = key_ring().signer.kid
    other = "EdDSA" if SYMMETRIC else "HS256"
    file = tmp_path / ".env"
    file.write_text("SECRET_KEY=x\n")
    for arguments, said in (
        (("retire", signer), "signs; make another key sign"),
        (("retire", "unknown"), f"its keys are {signer}"),
        (("sign", "unknown", "--write", str(file)), f"its keys are {signer}"),
        (("add", "--algorithm", other, "--write", str(file)), "everybody logs in again"),
        (("add", "--algorithm", other), "signing_algorithm"),
        (("add", "--algorithm", "none"), "invalid choice"),
        (("add", "--write", str(tmp_path / "nowhere" / ".env")), "cannot be written"),
        (("sign",), "required: kid"),
        ((), "required: action"),
    ):
        with pytest.raises(CommandError, match=re.escape(said)) as refused:
            authkeys(*arguments)
        assert_says_no_key(str(refused.value), ",".join(ring))
    assert ring == settings.AUTH_SIGNING_KEYS
    assert file.read_text() == "SECRET_KEY=x\n"
    assert client.is_alive


@once
def test_a_ring_is_written_beside_what_else_stands_there(
    authkeys: Callable[..., str], tmp_path: Path
) -> None:
    """CRY-03: --write replaces the ring and keeps every other line; a new file is its owner's alone."""
    file = tmp_path / ".env"
    rest = [
        "# AUTH_SIGNING_KEYS=a comment",
        "SECRET_KEY=x=y",
        "",
        "  # ä",
        "DATABASE_URL=sqlite://",
    ]
    file.write_text(
        "\n".join(
            [*rest[:2], "AUTH_SIGNING_KEYS=old", *rest[2:4], " AUTH_SIGNING_KEYS = x", rest[4]]
        ),
        encoding="utf-8",
    )
    file.chmod(0o640)
    said = authkeys("add", "--write", str(file))
    *kept, line = file.read_text(encoding="utf-8").splitlines()
    assert kept == rest
    ring = KeyRing(line.removeprefix("AUTH_SIGNING_KEYS=").split(","))
    assert ring.signer.kid == key_ring().signer.kid
    assert len(ring.keys) == 2
    assert_says_no_key(said, line)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    made = tmp_path / "new.env"
    authkeys("add", "--write", str(made))
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


@pytest.mark.slow
@once
def test_the_command_itself(tmp_path: Path) -> None:
    """CRY-03: `manage.py authkeys add --write FILE`, in a process of its own, writes a ring that starts."""
    file = tmp_path / ".env"
    process = manage("authkeys", "add", "--write", str(file))
    out, message = process.communicate(timeout=60)
    assert (process.returncode, message) == (0, "")
    assert out == f"Wrote AUTH_SIGNING_KEYS to {file}; restart the processes.\n"
    entries = file.read_text(encoding="utf-8").strip().removeprefix("AUTH_SIGNING_KEYS=")
    assert len(KeyRing(entries.split(",")).keys) == 2


@once
def test_a_key_can_be_named_on_the_command_line() -> None:
    """CRY-03: no generated kid begins with a dash, which the command would take for an option."""
    assert not [kid for kid in (Key.generate("HS256").kid for _n in range(500)) if kid[0] == "-"]


def test_a_new_secret_key(api: Api, account: Account, mailbox: list[Any], settings: Any) -> None:
    """CRY-03: with the old SECRET_KEY as a fallback, sessions, CSRF proofs and mailed links survive a new one."""
    client, idle = account.log_in(), account.log_in()
    api.post("rest_password_reset", {"email": account.user.email})
    link = link_secrets(mailbox[-1])
    old = settings.SECRET_KEY

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = SECRET_KEY, [old]
    assert client.is_alive
    client = client.refreshed()
    assert client.is_alive

    settings.SECRET_KEY_FALLBACKS = []
    assert client.is_alive
    assert not idle.is_alive
    settings.SECRET_KEY_FALLBACKS = [old]
    assert idle.is_alive

    new = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    assert api.post("rest_password_reset_confirm", {**link, **new}).status == 200


# --- Random values and comparisons ---------------------------------------------------------


@once
def test_secrets_are_random_enough() -> None:
    """CRY-04: only `secrets` makes secrets, of 128 bit or more; uuid4 makes identifiers alone."""
    imported = {
        (path, name.name)
        for kind in (ast.Import, ast.ImportFrom)
        for path, node in nodes(kind)
        for name in node.names
    }
    imported |= {(path, str(node.module)) for path, node in nodes(ast.ImportFrom)}
    weak = {"random", "getrandbits", "randint", "uuid1", "uuid3", "uuid5", "get_random_string"}
    assert {pair for pair in imported if pair[1] in weak} == set()

    sizes = []
    for path, node in nodes(ast.Call):
        function = ast.unparse(node.func)
        if function.startswith("secrets.token_"):
            module = "auth_core." + path.removesuffix(".py").replace("/", ".")
            names = vars(importlib.import_module(module))
            sizes.append(eval(ast.unparse(node.args[0]), dict(names)))  # noqa: S307 - our own source
        assert function not in {"os.urandom", "uuid.uuid1"}, path
    assert sizes
    assert min(sizes) >= 16

    identifiers = {path for path, node in nodes(ast.Attribute) if node.attr == "uuid4"}
    identifiers = {path for path in identifiers if not path.startswith("features/")}
    assert identifiers == {
        "accounts/models.py",
        "audit/models.py",
        "http/request_id.py",
        "sessions/models.py",
    }


@once
def test_new_secrets_are_new_and_long() -> None:
    """CRY-04: each run makes other secrets: 512 bit of SECRET_KEY, and a key of the policy's algorithm."""
    runs = [dict(line.split("=", 1) for line in secrets_file.new_secrets().split()) for _n in "12"]
    names = ["SECRET_KEY", "AUTH_SIGNING_KEYS", *features.new_secrets()]
    assert [list(run) for run in runs] == [names] * 2
    for name in runs[0]:
        assert runs[0][name] != runs[1][name]
    for run in runs:
        assert len(decode(run["SECRET_KEY"])) == 64
        assert KeyRing([run["AUTH_SIGNING_KEYS"]]).signer.algorithm == policy.SIGNING_ALGORITHM


# What only sounds like a secret, or is compared for the one caller who sent both sides.
NO_SECRETS = {
    "accounts/passwords.py: password != repeated",
    "accounts/serializers.py: attrs['new_password1'] == attrs['old_password']",
    "http/checks.py: key != name",
}
SECRET_WORDS = {
    "token", "code", "key", "mac", "hmac", "secret", "signature", "digest", "nonce", "otp", "hash",
    "password", "passcode", "csrf",
}  # fmt: skip


def words_of(node: ast.expr) -> set[str]:
    """The words of the name that a value goes by: self.auth_hash is {"auth", "hash"}."""
    if isinstance(node, ast.Call):
        return words_of(node.func)
    name = {ast.Name: "id", ast.Attribute: "attr"}.get(type(node))
    if isinstance(node, ast.Subscript):
        return words_of(node.value) | set(re.findall("[a-z]+", ast.unparse(node.slice)))
    return set(re.findall("[a-z]+", getattr(node, name))) if name else set()


def is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or ast.unparse(node).rpartition(".")[2].isupper()


def compared_secrets(tree: ast.AST) -> set[str]:
    return {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, (ast.Eq, ast.NotEq)) for operator in node.ops)
        and any(SECRET_WORDS & words_of(side) for side in (node.left, *node.comparators))
        and not any(map(is_constant, (node.left, *node.comparators)))
    }


@once
def test_secrets_are_compared_in_constant_time() -> None:
    """CRY-05: nothing named like a secret is compared with == or !=, unless with a constant."""
    for example in ("mac != sent", "code() == a", "a == row.auth_hash", "body['token'] == a"):
        assert compared_secrets(ast.parse(example)) == {example}
    found = {f"{path}: {one}" for path, tree in sources().items() for one in compared_secrets(tree)}
    assert found - NO_SECRETS == set()


# --- Secrets at rest -----------------------------------------------------------------------

LEAKS = re.compile(
    r"""-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----
    | \b(?:HS256|EdDSA|ES256|RS256):[A-Za-z0-9_-]{40,}
    | \beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.
    | (?:SECRET|TOKEN|PASSWORD|KEYS?)[A-Z_]*["']?\s*[=:]\s*["']?[A-Za-z0-9_+/-]{32,}
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
    | \bgh[opsu]_[A-Za-z0-9]{36}
    | \bxox[abp]-[0-9A-Za-z-]{20,}
    | \b[sr]k_live_[0-9A-Za-z]{16,}
    | ://[^\s:/@{}]+:(?=[^\s@]*[a-z])(?=[^\s@]*[0-9])[^\s@{}]{16,}@
    """,
    re.VERBOSE,
)


def tracked_files() -> Iterator[Path]:
    """What git would hold of this project. The team's own tests may hold keys that open nothing."""
    lines = (env.BASE_DIR / ".gitignore").read_text(encoding="utf-8").split()
    ignored = [line.strip("/") for line in lines if not line.startswith("#")]
    for folder, folders, files in os.walk(env.BASE_DIR):
        inside = Path(folder) == env.BASE_DIR
        apart = [*ignored, ".git", *(["tests"] if inside else [])]
        folders[:] = [name for name in folders if not any(fnmatch(name, one) for one in apart)]
        yield from (
            Path(folder, name) for name in files if not any(fnmatch(name, one) for one in ignored)
        )


@once
def test_no_secret_is_tracked() -> None:
    """CRY-06: no file that git holds contains a secret; .env is ignored, and .env.example names none."""
    assert LEAKS.search(secrets_file.new_secrets())
    files = list(tracked_files())
    assert env.BASE_DIR / "manage.py" in files
    found = {
        str(path): leak.group()
        for path in files
        if (leak := LEAKS.search(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}
    assert ".env" in (env.BASE_DIR / ".gitignore").read_text(encoding="utf-8").split()
    example = (env.BASE_DIR / ".env.example").read_text(encoding="utf-8")
    assert re.findall(r"^#?\s*(?:SECRET_KEY|AUTH_SIGNING_KEYS)=(.*)$", example, re.M) == ["", ""]


@once
def test_every_installation_has_its_own_secrets(tmp_path: Path) -> None:
    """CRY-06: two installations get different secrets, in a file of the owner's that is never overwritten."""
    first, second = tmp_path / "1.env", tmp_path / "2.env"
    for file in (first, second):
        secrets_file.main(str(file))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [set(file.read_text(encoding="utf-8").splitlines()[1:]) for file in (first, second)]
    assert [len(names) for names in lines] == [2 + len(features.new_secrets())] * 2
    assert not lines[0] & lines[1]
    before = first.read_text(encoding="utf-8")
    secrets_file.main(str(first))
    assert first.read_text(encoding="utf-8") == before


def test_a_session_is_ended_not_a_string(account: Account) -> None:
    """CRY-08: revocation goes by `sid`: another spelling of the same token is dead as well."""
    client = account.log_in()
    key = key_ring().signer

    def respelled(token: str | None) -> str:
        claims = dict(reversed(claims_of(token).items()))
        return jwt.encode(claims, key.signing, key.algorithm, headers=header_of(token))

    access, refresh_token = respelled(client.access), respelled(client.refresh)
    assert access != client.access
    twin = Api(access, refresh_token, client.csrf, client.delivery)
    assert twin.is_alive
    client.post("rest_logout")
    assert not twin.is_alive
    for answer in (twin.get("rest_user_details"), twin.send_refresh()):
        assert (answer.status, answer.code) == (401, "session_revoked")
    stored = {field.name for field in AuthSession._meta.get_fields()}
    assert not {name for name in stored if "token" in name or "jti" in name}
