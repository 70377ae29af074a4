"""PWD: what a password must be, how it is kept, and that it is nowhere to be seen (NIST SP 800-63B-4, 3.1.1.2)."""

import io
import random
import re
import statistics
import string
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.password_validation import CommonPasswordValidator, validate_password
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.signals import got_request_exception
from django.test import Client
from django.urls import reverse
from django.views.debug import ExceptionReporter

from auth_core import policy
from auth_core.accounts.hashers import Argon2idHasher
from auth_core.accounts.password_policy import MAX_LENGTH
from auth_core.audit.lines import JsonFormatter
from auth_core.audit.models import AuditEvent
from auth_core.contract.processes import PRODUCTION, run
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    OTHER_PASSWORD,
    PASSWORD,
    Account,
    Api,
    document,
    link_secrets,
    registration,
)

pytestmark = [pytest.mark.django_db, pytest.mark.inside]

LENGTH = policy.PASSWORD_MIN_LENGTH
LETTERS = "".join(random.Random(63).choices(string.ascii_letters, k=2 * MAX_LENGTH))  # noqa: S311
FOUR_WORDS = "hat beach tin Ångström"


@pytest.fixture
def real_hashers(settings: Any) -> None:
    """The hashers of the project before the fast one of the tests."""
    fast, *real = settings.PASSWORD_HASHERS
    settings.PASSWORD_HASHERS = [*real, fast]


@pytest.fixture
def admin(db: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(
        get_user_model().objects.create_superuser(username="root", email="root@example.com")
    )
    return client


# --- Five ways to set a password: each returns the codes of its refusal -----------------------


def by_change(account: Account, new: str, mailbox: list[Any], admin: Client) -> set[str]:
    body = {"old_password": account.password, "new_password1": new, "new_password2": new}
    return codes_of(account.log_in().post("rest_password_change", body))


def by_reset(account: Account, new: str, mailbox: list[Any], admin: Client) -> set[str]:
    Api().post("rest_password_reset", {"email": account.user.email})
    body = {**link_secrets(mailbox[-1]), "new_password1": new, "new_password2": new}
    return codes_of(Api().post("rest_password_reset_confirm", body))


def by_registration(account: Account, new: str, mailbox: list[Any], admin: Client) -> set[str]:
    if policy.REGISTRATION != "open":
        pytest.skip(reason="registration is not open by the policy")
    names = {"username": account.user.username, "email": account.user.email}
    body = registration(password1=new, password2=new)
    body = {name: names.get(name) or value for name, value in body.items()}
    account.user.delete()
    answer = Api().post("rest_register", body)
    if answer.status == 201 and policy.EMAIL_VERIFICATION == "mandatory":
        Api().post("rest_verify_email", link_secrets(mailbox[-1]))
    return codes_of(answer)


def by_admin(account: Account, new: str, mailbox: list[Any], admin: Client) -> set[str]:
    with without_address(account) as page:
        form = {"password1": new, "password2": new, "usable_password": "true"}
        return codes_of_form(admin.post(page, form))


@contextmanager
def without_address(account: Account) -> Iterator[str]:
    """Yield the page where the admin sets a password: for who has an address there may be none."""
    row = get_user_model().objects.filter(pk=account.user.pk)
    row.update(email=None)
    yield reverse("admin:auth_user_password_change", args=[account.user.pk])
    row.update(email=account.user.email)


def by_admin_adding(account: Account, new: str, mailbox: list[Any], admin: Client) -> set[str]:
    names = {"username": account.user.username or "", "email": account.user.email}
    account.user.delete()
    form = {**names, "password1": new, "password2": new, "usable_password": "true"}
    return codes_of_form(admin.post(reverse("admin:users_user_add"), form))


def codes_of(answer: Any) -> set[str]:
    assert answer.status in (200, 201, 400), answer.body
    found = set()
    for field, codes in answer.body.get("codes", {}).items():
        assert "password" in field
        assert all(answer.body[field])  # each has its reason in words
        found |= set(codes)
    return found


def codes_of_form(response: Any) -> set[str]:
    if response.status_code == 302:
        return set()
    context = response.context
    errors = (context["form"] if "form" in context else context["adminform"].form).errors
    assert set(errors) <= {"password1", "password2"}, errors
    return {error.code for each in errors.as_data().values() for error in each}


WAYS = [by_change, by_reset, by_registration, by_admin, by_admin_adding]
Way = Callable[[Account, str, list[Any], Client], set[str]]


@pytest.fixture(params=WAYS)
def set_password(
    request: pytest.FixtureRequest, account: Account, mailbox: list[Any], admin: Client
) -> Callable[[str], set[str]]:
    way: Way = request.param
    return lambda new: way(account, new, mailbox, admin)


def is_refused(password: str, user: Any = None) -> set[str]:
    try:
        validate_password(password, user)
    except ValidationError as error:
        return {str(each.code) for each in error.error_list}
    return set()


# --- Length and signs ---------------------------------------------------------------------------


def test_one_character_fewer_is_too_short(set_password: Callable[[str], set[str]]) -> None:
    """PWD-01: 14 are refused where 15 are asked, on each way."""
    assert set_password(LETTERS[: LENGTH - 1]) == {"password_too_short"}


def test_the_least_length_is_enough(set_password: Callable[[str], set[str]]) -> None:
    """PWD-01: 15 are accepted, on each way; a second factor, with which 8 would do, is not asked."""
    assert LENGTH == 15
    assert set_password(LETTERS[:LENGTH]) == set()


@pytest.mark.parametrize("length", [64, 128, 200, MAX_LENGTH])
def test_long_passwords_are_accepted_and_log_in(
    length: int, account: Account, mailbox: list[Any], admin: Client
) -> None:
    """PWD-02: far beyond 64."""
    assert by_change(account, LETTERS[:length], mailbox, admin) == set()
    Account(account.user, LETTERS[:length]).log_in()
    nearly = {**account.credentials, "password": LETTERS[: length - 1]}
    assert Api().post("rest_login", nearly).status == 400


class CountingHasher(Argon2idHasher):
    """Counts what reaches it."""

    calls = 0

    def encode(self, password: str, salt: str) -> str:
        type(self).calls += 1
        return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        type(self).calls += 1
        return super().verify(password, encoded)


def test_too_long_a_password_is_not_hashed(
    account: Account, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PWD-02, PWD-13: beyond 1024 characters 400, a megabyte 413, before the hasher sees it."""
    client = account.log_in()
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    monkeypatch.setattr(CountingHasher, "calls", 0)
    for length, status in ((MAX_LENGTH + 1, 400), (20_000, 400), (1_000_000, 413)):
        long = "x" * length
        for name, body in bodies_with_passwords(long).items():
            answer = client.request(*name, body)
            assert answer.status == status, (name, answer.body)
            assert status == 413 or "max_length" in str(answer.body["codes"])
    assert CountingHasher.calls == 0


def test_too_long_a_password_is_refused_by_the_admin(
    account: Account, mailbox: list[Any], admin: Client
) -> None:
    """PWD-02: whose forms know no upper bound of their own."""
    found = by_admin(account, LETTERS[: MAX_LENGTH + 1], mailbox, admin)
    assert found == {"password_too_long"}


ACCEPTED = {
    "lower case": "zebrasmunchkiwisslowly",
    "upper case": "ZEBRASMUNCHKIWISSLOWLY",
    "digits": "84730162958374610295",
    "spaces within": "z e b r a m u n c h k i w i",
    "signs": "$]{;=?~<(|+*^)%&",
    "emoji": "🦓🥝🎩🏝🥫⚓🌵🍄🪁🧭🎻🪐🐙🧵🕯",
    "CJK": "斑馬慢慢地吃著奇異果在海邊帽子",
    "Cyrillic": "зебры жуют киви на пляже",
    "Hebrew": "זברות אוכלות קיווי בים",
}


@pytest.mark.parametrize("password", ACCEPTED.values(), ids=list(ACCEPTED))
def test_no_sign_is_demanded(
    password: str, account: Account, mailbox: list[Any], admin: Client
) -> None:
    """PWD-03: one kind of sign alone is enough, whichever."""
    assert by_change(account, password, mailbox, admin) == set()
    Account(account.user, password).log_in()


def test_no_rule_of_composition_is_configured_or_published(settings: Any) -> None:
    """PWD-03: neither a validator that asks for kinds of signs, nor a pattern in the OpenAPI document."""
    assert is_refused("84730162958374610295") == is_refused("zebrasmunchkiwisslowly") == set()
    for name, field in password_fields():
        assert not {"pattern", "enum", "format"} & set(field), name


EXACT = [
    ("  two blanks before", "two blanks before"),
    ("two blanks behind  ", "two blanks behind"),
    ("Case Is Significant", "case is significant"),
    (LETTERS[:72] + "one", LETTERS[:72] + "two"),
    ("ü" * 3 + LETTERS[:64] + "one", "ü" * 3 + LETTERS[:64] + "two"),
    ("ﬁne ligature typed", "fine ligature typed"),
]


@pytest.mark.parametrize(("password", "other"), EXACT)
def test_a_password_is_taken_as_it_was_typed(
    password: str,
    other: str,
    account: Account,
    mailbox: list[Any],
    admin: Client,
    real_hashers: None,
) -> None:
    """PWD-04: not trimmed, not folded, not cut at 72 bytes, compatibility forms kept apart."""
    assert by_change(account, password, mailbox, admin) == set()
    Account(account.user, password).log_in()
    assert Api().post("rest_login", {**account.credentials, "password": other}).status == 400


# --- Unicode ------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_each_spelling_of_a_password_logs_in(
    typed: Any, set_password: Callable[[str], set[str]], account: Account, real_hashers: None
) -> None:
    """PWD-05: whichever way it was set and spelt, in the admin, too."""
    assert unicodedata.normalize("NFC", FOUR_WORDS) != unicodedata.normalize("NFD", FOUR_WORDS)
    assert set_password(unicodedata.normalize(typed, FOUR_WORDS)) == set()
    user = get_user_model().objects.get(email=account.user.email)
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"primary": True, "verified": True}
    )
    for form in ("NFC", "NFD"):
        Account(user, unicodedata.normalize(form, FOUR_WORDS)).log_in()


@pytest.mark.parametrize("command", ["createsuperuser", "changepassword"])
def test_the_commands_take_each_spelling(
    command: str, monkeypatch: pytest.MonkeyPatch, real_hashers: None
) -> None:
    """PWD-05: an administrator made in the shell logs in over the API and to the admin, however spelt."""
    decomposed = unicodedata.normalize("NFD", FOUR_WORDS)
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", decomposed)
    names = {"email": "root@example.com"}
    if get_user_model().USERNAME_FIELD == "username":
        names["username"] = "root"
    call_command("createsuperuser", interactive=False, verbosity=0, **names)
    user = get_user_model().objects.get()
    if command == "changepassword":
        user.set_password(OTHER_PASSWORD)
        user.save()
        with patch("getpass.getpass", return_value=decomposed):
            call_command(command, user.get_username(), stdout=io.StringIO())
    for form in ("NFC", "NFD"):
        password = unicodedata.normalize(form, FOUR_WORDS)
        Account(user, password).log_in()
        page = {"username": user.get_username(), "password": password}
        assert Client().post(reverse("admin:login"), page).status_code == 302


def test_the_command_asks_the_validators(capsys: pytest.CaptureFixture[str]) -> None:
    """PWD-06: createsuperuser tells why, and asks before it goes on all the same."""
    typed = iter(["root", "root@example.com"])
    prompts = patch(
        "builtins.input", side_effect=lambda text: "n" if "Bypass" in text else next(typed)
    )
    given = patch("getpass.getpass", side_effect=["short", "short", KeyboardInterrupt])
    errors = io.StringIO()
    if get_user_model().USERNAME_FIELD == "email":
        next(typed)
    tty = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
    with prompts, given, pytest.raises(SystemExit):
        call_command("createsuperuser", stdin=tty, stdout=io.StringIO(), stderr=errors)
    assert "too short" in errors.getvalue()
    assert not get_user_model().objects.exists()


@pytest.mark.parametrize("length", [LENGTH - 1, LENGTH, MAX_LENGTH, MAX_LENGTH + 1])
def test_length_is_counted_in_composed_characters(
    length: int, set_password: Callable[[str], set[str]]
) -> None:
    """PWD-05: a letter that was typed as two code points counts once, at both ends of the range."""
    composed = "é" + LETTERS[: length - 2] + "ü"
    found = set_password(unicodedata.normalize("NFD", composed))
    if LENGTH <= length <= MAX_LENGTH:
        assert found == set()
    else:
        assert found <= {"password_too_short", "password_too_long", "max_length"}
        assert found


# --- Common passwords ---------------------------------------------------------------------------


LEET = str.maketrans("aeost", "@3057")


def common_passwords() -> list[str]:
    """At least 3000 passwords that people would make of a common one to reach the length."""
    words = sorted(word for word in CommonPasswordValidator().passwords if word.isalpha())
    chance = random.Random(3000)  # noqa: S311
    made = [word for word in CommonPasswordValidator().passwords if len(word) >= LENGTH]
    long = [word for word in words if len(word) >= 6]
    for word in chance.sample(long, 330):
        other = chance.choice(long)
        made += [
            word + other,
            f"{word.capitalize()}{other.capitalize()}!",
            word * 3,
            f"{word} {word} {word}",
            f"{word}{word}{chance.randint(1950, 2026)}",
            f"{word}{other}{chance.randint(1950, 2026)}!",
            f"{word}{other}".translate(LEET),
            f"!!!{word}!!!!!!!!!",
            f"{word}123456789",
            f"{word}qwertyuiop",
        ]
    made += [word + str(year) for word in words if len(word) >= 11 for year in (1999, 2024)]
    return list({word for word in made if len(word) >= LENGTH})


WALKS = [
    "qwertyuiopasdfghjkl",
    "1qaz2wsx3edc4rfv5tgb",
    "zxcvbnmasdfghjklqwertyuiop",
    "abcdefghijklmnopqrstuvwxyz",
    "ZYXWVUTSRQPONMLK",
    "12345678901234567890",
    "09876543210987654321",
    "aaaaaaaaaaaaaaaaaaaa",
    "abcabcabcabcabcabc",
    "qwertzuiopasdfghjkl",
    "q1w2e3r4t5y6u7i8",
    "!@#$%^&*()!@#$%^",
    "password" * 128,
    "               ",
]


@pytest.mark.slow
def test_passwords_made_of_common_ones_are_refused() -> None:
    """PWD-06: the list of Django is the base; what people make of it to reach 15 characters is found."""
    made = common_passwords()
    assert len(made) >= 3000
    assert [
        password for password in made if "password_too_common" not in is_refused(password)
    ] == []


@pytest.mark.parametrize("password", WALKS)
def test_keyboard_walks_and_repetitions_are_refused(password: str) -> None:
    """PWD-06: no list could hold them."""
    assert is_refused(password) == {"password_too_common"}


def test_a_common_password_is_refused_on_each_way(set_password: Callable[[str], set[str]]) -> None:
    """PWD-06: with its code and a reason in words."""
    assert set_password("SunshineFootball1!") == {"password_too_common"}


PASSPHRASES = """
correct horse battery staple
four wholly different words
hat beach tin anchor
house water green table
dragon monkey football sunshine
purple tractor singing lamp
summer winter flower garden
orange guitar silver window
seven otters juggle lanterns
nobody expects this sentence
Zebras munch kiwis slowly
my cat eats tuna at noon
the sun and the moon above
copper-kettle-whistles-twice
velvetlanternorchardsnail
PlumRiverTicketGhost
ice cream melts on Mondays
we walked to Dover in 1987
grandma's soup needs more salt
three hedgehogs, one bicycle
Die Katze schläft im Klavier
le chat dort sur le piano
el gato duerme en el piano
kissa nukkuu pianon alla
kota spi na fortepianie
what a lovely day for rain
coffee before everything else
library, ladder, lemon, lace
umbrella biscuit thunder moss
paper boat on a tin roof
silent foxes cross the bridge
a quiet drawer full of maps
turnips hate being photographed
Tr0ub4dor&3-is-not-enough
xq7Kz!9wLp2@vT4m
k3vJ8sWq1LzP5nXy
0fd1c7a2-93be-4f6d
93be4f6d0fd1c7a2
horse house mouse spouse
red green blue yellow pink
king queen jack ace joker
love peace music flowers
apple banana cherry mango
tiger eagle shark spider
london paris berlin madrid
happy birthday dear bicycle
secret garden behind stone wall
computer mouse eats cheese cake
letmein via the kitchen window
trustno1 but the baker's dog
""".strip().splitlines()


def test_passphrases_are_accepted() -> None:
    """PWD-06: four words do, common ones, too, and so do random characters."""
    assert len(PASSPHRASES) >= 50
    assert {each: is_refused(each) for each in PASSPHRASES if is_refused(each)} == {}


def test_four_common_words_are_accepted_on_each_way(
    set_password: Callable[[str], set[str]],
) -> None:
    """PWD-06: each of them is on the list, together they are not easily guessed."""
    four = "dragon monkey football sunshine"
    assert set(four.split()) <= CommonPasswordValidator().passwords
    assert set_password(four) == set()


# --- Names of the service and of the user -------------------------------------------------------


def test_a_password_of_names_is_refused(
    set_password: Callable[[str], set[str]], account: Account
) -> None:
    """PWD-09: what remains without the user's name or address is too little, on each way."""
    # Chosen, not drawn: a drawn one may hold a year or neighbouring keys, and be common besides.
    name = account.user.first_name = "qvxjtrwzkp"
    account.user.email = f"{name}@example.com"
    account.user.save()
    account.user.emailaddress_set.update(email=account.user.email)
    assert set_password(f"{name.upper()}-{name}_and9") == {"password_too_similar"}


@pytest.mark.parametrize(
    "word", [policy.PROJECT_NAME, policy.PROJECT_SLUG, "app.acme-shop.example", "Acme", "ACMESHOP"]
)
def test_a_password_of_the_services_names_is_refused(
    word: str, set_password: Callable[[str], set[str]], settings: Any
) -> None:
    """PWD-09: the project's name, the domain whole and in parts, on each way."""
    settings.FRONTEND_URL = "https://app.acme-shop.example"
    # Short names only count together with what else a guesser would add.
    assert set_password(f"{word}2024 {word}xkvy"[:60]) & {"password_too_similar"}


ADA: dict[str, str] = {
    "username": "countess.of_lovelace",
    "email": "ada.byron@mail.example.org",
    "first_name": "Augusta",
    "last_name": "King-Noel",
}
OF_ADA = [
    "Countess-of-Lovelace",
    "lovelace lovelace 1815",
    "C0unt355 0f L0v3l4c3",
    "ada.byron@mail.example.org",
    "byron&byron&byron&!",
    "AugustaKingNoel1815",
    "noel augusta xkvyq",
]
NOT_OF_ADA = [
    "my lovelace curtains are green",
    "she was a countess by marriage in 1835",
    "first noel, then new year",
    "adapters and adamant dactyls",  # Ada is too short a name to count
]


@pytest.mark.parametrize("password", OF_ADA)
def test_each_name_of_a_user_counts_nothing(password: str) -> None:
    """PWD-09: in any letter case, in parts, with digits for letters."""
    assert "password_too_similar" in is_refused(password, get_user_model()(**ADA))
    assert "password_too_similar" not in is_refused(password)


@pytest.mark.parametrize("password", NOT_OF_ADA)
def test_a_name_in_a_long_sentence_does_no_harm(password: str) -> None:
    """PWD-09: what is enough without the name is accepted."""
    assert is_refused(password, get_user_model()(**ADA)) == set()


@pytest.mark.parametrize("name", ["Al", "My API", "The", "Ed", ""])
def test_short_and_common_names_do_no_harm(name: str) -> None:
    """PWD-09: a passphrase that happens to hold "al" or "my" is not refused."""
    user = get_user_model()(first_name=name, last_name=name, username=name)
    with patch.object(policy, "PROJECT_NAME", "My API"):
        for each in PASSPHRASES:
            assert is_refused(each, user) == set(), each
        assert is_refused("my al api the ed lives", user) == set()


# --- Changing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "field", "code"),
    [
        (None, OTHER_PASSWORD, "old_password", "required"),
        ("", OTHER_PASSWORD, "old_password", "blank"),
        ("not the current one", OTHER_PASSWORD, "old_password", "invalid_password"),
        (PASSWORD, PASSWORD, "new_password2", "password_unchanged"),
    ],
)
def test_a_change_needs_the_current_password_and_another_one(
    old: str | None, new: str, field: str, code: str, account: Account
) -> None:
    """PWD-10: without it, with a wrong one, or with the same again: 400, and nothing changes."""
    client, stored = account.log_in(), account.user.password
    body = {"old_password": old, "new_password1": new, "new_password2": new}
    body = {name: value for name, value in body.items() if value is not None}
    answer = client.post("rest_password_change", body)
    assert (answer.status, answer.code) == (400, code)
    assert set(answer.body["codes"]) == {field}
    assert get_user_model().objects.get(pk=account.user.pk).password == stored
    assert client.is_alive


# --- Storage ------------------------------------------------------------------------------------


def test_a_new_hash_is_argon2id(
    account: Account, mailbox: list[Any], admin: Client, real_hashers: None
) -> None:
    """PWD-12: at least 19 MiB, two passes, one lane."""
    assert by_change(account, OTHER_PASSWORD, mailbox, admin) == set()
    stored = get_user_model().objects.get(pk=account.user.pk).password
    found = re.fullmatch(r"argon2\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$.+\$.+", stored)
    assert found, stored
    memory, passes, lanes = map(int, found.groups())
    assert memory >= 19 * 1024
    assert passes >= 2
    assert lanes >= 1


@pytest.mark.parametrize("iterations", [1, 260_000])
def test_an_old_hash_is_renewed_at_the_login(
    iterations: int, account: Account, real_hashers: None
) -> None:
    """PWD-12: a PBKDF2 hash of another project becomes Argon2id; no session ends."""
    account.user.password = PBKDF2PasswordHasher().encode(PASSWORD, "saltsalt", iterations)
    account.user.save()
    first = account.log_in()
    assert get_user_model().objects.get(pk=account.user.pk).password.startswith("argon2$argon2id$")
    account.log_in()
    assert first.is_alive
    assert AuthSession.objects.filter(revoked_at=None).count() == 2


def test_a_hash_costs_what_it_should(real_hashers: None) -> None:
    """PWD-13: neither cheap to try nor dear to serve: 50 ms on a server's CPU, with a wide margin here."""
    seconds = []
    for _ in range(7):
        begin = time.perf_counter()
        make_password(PASSWORD)
        seconds.append(time.perf_counter() - begin)
    assert 0.005 < statistics.median(seconds) < 2


def test_judging_a_password_costs_less_than_hashing_it() -> None:
    """PWD-13: the longest and most repetitive ones, too: the limits on requests bound both."""
    for password in (LETTERS[:MAX_LENGTH], "a" * MAX_LENGTH, "\ufdfa" * MAX_LENGTH):
        begin = time.perf_counter()
        is_refused(password, get_user_model()(**ADA))
        assert time.perf_counter() - begin < 2


def test_the_cost_is_documented() -> None:
    """PWD-13: with what bounds how many are made at once."""
    document = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    assert "Hashing a password is what costs most" in document


# --- What there is not --------------------------------------------------------------------------


def test_a_password_does_not_expire(account: Account, clock: Any) -> None:
    """PWD-14: after ten years it logs in as on the first day."""
    clock.shift(10 * 365 * 86_400)
    account.log_in()


def test_there_are_no_hints_and_no_secret_questions() -> None:
    """PWD-14: neither in the models nor in the API."""
    names = {field.name for field in get_user_model()._meta.get_fields()}
    for component in document()["components"]["schemas"].values():
        names |= set(component.get("properties", {}))
    assert len(names) > 20
    asked = re.compile(r"hint|question|answer|maiden|password.*(expir|age|history|changed)", re.I)
    assert [name for name in names if asked.search(name)] == []


def test_anybody_may_ask_what_a_password_must_be(api: Api) -> None:
    """PWD-15: lengths for a form to check, and advice in words."""
    body = api.get("password_policy").body
    assert (body["min_length"], body["max_length"]) == (LENGTH, MAX_LENGTH)
    assert isinstance(body["breached_check"], bool)
    assert len(body["advice"]) >= 3
    assert str(LENGTH) in body["advice"][0]
    # The endpoint needs no session, and a dead token sent along does no harm.
    assert Api().get("password_policy", Authorization="Bearer x.y.z").status == 200


def test_a_refusal_names_every_reason(account: Account) -> None:
    """PWD-15: a code for programs and a sentence for people, one for each fault."""
    new = {"new_password1": "password", "new_password2": "password"}
    answer = account.log_in().post("rest_password_change", {"old_password": PASSWORD, **new})
    assert answer.status == 400
    assert answer.body["codes"]["new_password2"] == ["password_too_short", "password_too_common"]
    assert answer.body["new_password2"] == [
        f"This password is too short. It must contain at least {LENGTH} characters.",
        "This password is too common.",
    ]


def test_who_has_no_password_sets_one_by_mail(
    account: Account, mailbox: list[Any], admin: Client
) -> None:
    """PWD-16: as somebody whom an administrator made; until then nothing logs in or changes it."""
    client = account.log_in()
    account.user.set_unusable_password()
    account.user.save()
    for guess in ("", PASSWORD, account.user.password):
        answer = Api().post("rest_login", {**account.credentials, "password": guess})
        assert answer.status == 400
    assert not client.is_alive
    assert by_reset(account, OTHER_PASSWORD, mailbox, admin) == set()
    account.password = OTHER_PASSWORD
    account.log_in()
    assert by_change(account, FOUR_WORDS, mailbox, admin) == set()


@pytest.mark.slow
def test_a_fresh_project_has_no_users(tmp_path: Path) -> None:
    """PWD-17: after `migrate` there is nobody."""
    show = (
        "import django; django.setup(); from django.contrib.auth import get_user_model as u;"
        "print(u().objects.count())"
    )
    # Production may refuse SQLite; the migrations are the same.
    place = {"DATABASE_URL": f"sqlite:///{tmp_path}/fresh.sqlite3", "DJANGO_ENV": "dev"}
    variables = {**PRODUCTION, **place, "DJANGO_SETTINGS_MODULE": "config.settings"}
    assert run("manage.py", "migrate", **variables).returncode == 0
    assert run("-c", show, **variables).stdout == "0\n"


def test_nothing_seeds_users() -> None:
    """PWD-17: no fixtures, and no migration that reads a model, as one that writes rows would, but one.

    That changes rows of users and makes none.
    """
    root = Path(__file__).parents[2]
    owned = [root / "auth_core", root / "users"]
    assert [path for each in owned for path in each.rglob("fixtures")] == []
    for path in (path for each in owned for path in each.rglob("migrations/*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name == "0003_pending_registrations.py":
            assert "users.create" not in text
        else:
            assert "get_model" not in text, path


# --- Where a password must not be seen ----------------------------------------------------------


def request_bodies() -> dict[tuple[str, str], dict[str, Any]]:
    """The fields of each body that the OpenAPI document describes, by method and path."""
    described = document()
    found = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            component = described["components"]["schemas"].get(reference.rpartition("/")[2], {})
            found[method.upper(), path] = component.get("properties", {})
    return found


def password_fields() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, field)
        for fields in request_bodies().values()
        for name, field in fields.items()
        if "password" in name
    ]


def bodies_with_passwords(password: str) -> dict[tuple[str, str], dict[str, str]]:
    """A body for each endpoint that takes a password, with this one wherever one belongs."""
    samples = {"email": "new@example.com", "username": "newcomer", "uid": "x", "token": "y"}
    bodies = {}
    for where, fields in request_bodies().items():
        if any("password" in name for name in fields):
            bodies[where] = {
                name: password if "password" in name else samples.get(name, "x") for name in fields
            }
    return bodies


CANARY = "Kanarienvogel-7351-zwitschert"
LIFE = ("rest_login", "rest_password_change", "rest_password_reset_confirm")


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture, mailbox: list[Any]) -> Callable[[], str]:
    """Everything written so far: log records with all they carry, audit rows, admin's history, mails."""
    caplog.set_level(0)

    def everything() -> str:
        lines = [f"{JsonFormatter().format(each)} {vars(each)}" for each in caplog.records]
        rows = [*AuditEvent.objects.values(), *LogEntry.objects.values()]
        mails = [f"{mail.subject} {mail.message()} {mail.alternatives}" for mail in mailbox]
        return "\n".join(map(str, [*lines, *rows, *mails]))

    return everything


def test_a_password_is_in_no_answer_log_trail_or_mail(
    api: Api, account: Account, mailbox: list[Any], admin: Client, seen: Callable[[], str]
) -> None:
    """PWD-18: each endpoint that takes one gets the canary, refused and accepted; nothing repeats it."""
    answers = []
    client = account.log_in()
    bodies = bodies_with_passwords(CANARY)
    assert {("POST", reverse(name)) for name in LIFE} <= set(bodies)
    for where, body in bodies.items():
        mistyped = {name: f"{value}!" if "2" in name else value for name, value in body.items()}
        for each in (body, mistyped, {**body, "token": CANARY}):
            answers += [api.request(*where, each), client.request(*where, each)]
    assert not [answer for answer in answers if answer.status >= 500]
    account.user.refresh_from_db()
    account.user.set_password(PASSWORD)
    account.user.save()
    assert by_change(account, CANARY, mailbox, admin) == set()
    account.password = CANARY
    answers += [api.post("rest_login", account.credentials)]
    answers += [account.log_in().get("rest_user_details")]
    if policy.REGISTRATION == "open":
        answers += [api.post("rest_register", registration(password1=CANARY, password2=CANARY))]
        assert answers[-1].status == 201
    assert by_reset(account, CANARY, mailbox, admin) == set()
    assert [
        each for each in answers if CANARY in f"{each.body} {each.headers} {each.cookies}"
    ] == []
    assert mailbox
    assert "authn_login_success" in seen()
    assert CANARY not in seen()


def test_a_password_is_on_no_page_of_the_admin(
    account: Account, mailbox: list[Any], admin: Client, seen: Callable[[], str]
) -> None:
    """PWD-18: forms come back empty; lists, histories and the read-only hash show nothing of it."""
    mistyped = {"password1": CANARY, "password2": f"{CANARY}!", "usable_password": "true"}
    with without_address(account) as page_of_password:
        pages = [admin.get(page_of_password), admin.post(page_of_password, mistyped)]
    pages += [
        admin.post(reverse("admin:login"), {"username": "root", "password": CANARY}),
        admin.post(
            reverse("admin:users_user_add"),
            {"username": "new", **mistyped},
        ),
    ]
    assert by_admin(account, CANARY, mailbox, admin) == set()
    user = get_user_model().objects.get(pk=account.user.pk)
    assert user.check_password(CANARY)
    for name in (
        "users_user_changelist",
        "auth_sessions_authsession_changelist",
        "auth_audit_auditevent_changelist",
    ):
        pages.append(admin.get(reverse(f"admin:{name}")))
    for name in ("users_user_change", "users_user_history"):
        pages.append(admin.get(reverse(f"admin:{name}", args=[user.pk])))
    assert {page.status_code for page in pages} == {200}
    for page in pages:
        assert CANARY not in page.content.decode()
        assert user.password not in page.content.decode()
    assert CANARY not in seen()


class BrokenHasher(Argon2idHasher):
    """Fails as argon2 does when there is no memory left."""

    def encode(self, password: str, salt: str) -> str:
        raise MemoryError("the hash needs more memory than there is")

    def verify(self, password: str, encoded: str) -> bool:
        raise MemoryError("the hash needs more memory than there is")


@pytest.mark.slow
@pytest.mark.parametrize("debug", [True, False])
def test_a_password_is_in_no_error_report(
    debug: bool,
    real_hashers: None,
    account: Account,
    mailbox: list[Any],
    admin: Client,
    settings: Any,
    seen: Callable[[], str],
) -> None:
    """PWD-18: neither on the page that development shows nor in the report that production mails."""
    client = account.log_in()
    Api().post("rest_password_reset", {"email": account.user.email})
    link = link_secrets(mailbox[-1])
    settings.DEBUG = debug
    settings.PASSWORD_HASHERS = [f"{__name__}.BrokenHasher"]
    reports = []

    def report(request: Any, **kwargs: Any) -> None:
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.append(reporter.get_traceback_html() + reporter.get_traceback_text())

    got_request_exception.connect(report)
    new = {"new_password1": CANARY, "new_password2": CANARY}
    form = {"password1": CANARY, "password2": CANARY, "usable_password": "true"}
    try:
        answers = [
            Api().post("rest_login", {**account.credentials, "password": CANARY}),
            client.post("rest_password_change", {"old_password": CANARY, **new}),
            Api().post("rest_password_reset_confirm", {**link, **new}),
        ]
        if policy.REGISTRATION == "open":
            body = registration(password1=CANARY, password2=CANARY)
            answers.append(Api().post("rest_register", body))
        name = account.user.get_username()
        responses = [
            Client(raise_request_exception=False).post(
                reverse("admin:login"), {"username": name, "password": CANARY}
            ),
            admin.post(
                reverse("admin:users_user_add"), {"username": "n", "email": "n@e.org", **form}
            ),
        ]
        with without_address(account) as page:
            responses.append(admin.post(page, form))
    finally:
        got_request_exception.disconnect(report)
    assert {answer.status for answer in answers} == {500}
    assert {response.status_code for response in responses} == {500}
    assert len(reports) == len(answers) + len(responses)
    texts = [*(str(each.body) for each in answers), *(str(each.content) for each in responses)]
    assert any("MemoryError" in text for text in reports)
    assert [text for text in [*texts, *reports] if CANARY in text] == []
    assert CANARY not in seen()
