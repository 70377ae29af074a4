"""Invitations: who may send them, what their link is good for, once, and how they end."""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.account.signals import user_signed_up
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.permissions import IsAuthenticated

from auth_core import policy
from auth_core.accounts.serializers import RegisterSerializer
from auth_core.audit.models import AuditEvent
from auth_core.contract.marks import real_transactions
from auth_core.features.invitations import views
from auth_core.features.invitations.models import Invitation, signer
from auth_core.features.invitations.services import purge
from auth_core.sessions.models import AuthSession
from auth_core.testing import (
    OTHER_PASSWORD,
    Account,
    Answer,
    Api,
    at_once,
    link_secrets,
    registration,
)

pytestmark = pytest.mark.django_db

THREADS = 8
DAY = 86_400
# Of a feature: mypy reads the kernel's.
DAYS: int = django_settings.INVITATION_DAYS  # type: ignore[misc]
PERMISSION: str = django_settings.INVITATION_PERMISSION  # type: ignore[misc]
USERS = get_user_model()._default_manager


def new_address() -> str:
    return f"u{secrets.token_hex(5)}@example.com"


def acceptance(key: str, **changes: Any) -> dict[str, Any]:
    """A body for the registration of who was invited."""
    body = registration(invitation=key, **changes)
    del body["email"]
    return body


@pytest.fixture
def staff(make_account: Callable[..., Account]) -> Api:
    """A client of somebody who may invite."""
    return make_account(is_staff=True).log_in()


@pytest.fixture
def invite(staff: Api, mailbox: list[Any]) -> Callable[..., tuple[dict[str, Any], str]]:
    """Invite an address; return the invitation and the key of its mailed link."""

    def send(email: str | None = None) -> tuple[dict[str, Any], str]:
        email = email or new_address()
        answer = staff.post("invitation_list", {"email": email})
        assert answer.status == 201, answer.body
        assert mailbox[-1].to == [answer.body["email"]]
        return answer.body, link_secrets(mailbox[-1])["invitation"]

    return send


def refused(answer: Answer) -> bool:
    fields = answer.body.get("codes")
    return (answer.status, answer.code, fields) == (
        400,
        "invalid_invitation",
        {"invitation": ["invalid_invitation"]},
    )


def events() -> list[str]:
    found = AuditEvent.objects.filter(event__startswith="user_").order_by("time")
    return list(found.values_list("event", flat=True))


# --- The life of an invitation -----------------------------------------------------------------


def test_who_is_invited_registers_with_the_link(
    api: Api, staff: Api, invite: Any, mailbox: list[Any]
) -> None:
    """The address is the invitation's, and verified: 201 with tokens whatever the policy asks of others."""
    invitation, key = invite("Ada@Example.COM")
    assert set(invitation) == {"id", "email", "created", "expires", "accepted", "revoked", "sent"}
    assert (invitation["email"], invitation["accepted"]) == ("ada@example.com", None)
    answer = api.post("rest_register", acceptance(key))
    assert answer.status == 201, answer.body
    assert answer.body["user"]["email"] == "ada@example.com"
    assert api.with_tokens_of(answer).is_alive
    address = EmailAddress.objects.get(email="ada@example.com")
    assert (address.verified, address.primary) == (True, True)
    Account(address.user).log_in()
    (listed,) = staff.get("invitation_list").body["results"]
    assert listed["accepted"] is not None
    assert listed["sent"] == 1
    row = Invitation.objects.get()
    assert (row.invited_by.is_staff, row.accepted_by) == (True, address.user)  # type: ignore[union-attr]
    assert len(mailbox) == 1


def test_the_body_names_no_other_address(api: Api, invite: Any) -> None:
    invitation, key = invite()
    body = {**acceptance(key), "email": "other@example.com", "is_staff": True, "is_active": False}
    assert api.post("rest_register", body).status == 201
    user = USERS.get(email=invitation["email"])
    assert (user.is_staff, user.is_active) == (False, True)
    assert not USERS.filter(email="other@example.com").exists()


def test_nobody_registers_without_an_invitation(api: Api, invite: Any) -> None:
    invite()
    count = USERS.count()
    assert api.post("rest_register", registration()).body["codes"] == {"invitation": ["required"]}
    keys: list[Any] = ["", None, 5, [], {}]
    for key in keys:
        assert api.post("rest_register", acceptance(key)).status == 400
    assert USERS.count() == count


def test_a_wrong_key_is_refused(api: Api, invite: Any) -> None:
    """Forged, cut, of another purpose, or naming what it may not: one answer."""
    _, key = invite()
    row = Invitation.objects.get()
    keys = [
        "x",
        "ключ",
        key[:-1],
        f"{key}x",
        key.upper(),
        key.split(":")[0],
        str(row.pk),
        signing.Signer().sign(row.link),
        signer().sign(str(row.pk)),
        signer().sign("A" * 22),
        signing.Signer(key="k" * 50, salt=signer().salt).sign(row.link),
    ]
    for each in keys:
        assert refused(api.post("rest_register", acceptance(each))), each
    assert USERS.count() == 1


def test_a_key_outlives_a_change_of_secret(api: Api, invite: Any, settings: Any) -> None:
    _, key = invite()
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another" * 10
    assert api.post("rest_register", acceptance(key)).status == 201


def test_a_key_works_once(api: Api, invite: Any) -> None:
    _, key = invite()
    body = acceptance(key)
    assert api.post("rest_register", body).status == 201
    assert refused(api.post("rest_register", body))
    assert refused(api.post("rest_register", acceptance(key)))
    assert USERS.count() == 2


def test_a_key_expires(api: Api, invite: Any, clock: Any) -> None:
    _, in_time = invite()
    _, late = invite()
    clock.shift(DAYS * DAY - 60)
    assert api.post("rest_register", acceptance(in_time)).status == 201
    clock.shift(120)
    assert refused(api.post("rest_register", acceptance(late)))


def test_a_refusal_leaves_the_invitation_as_it_was(api: Api, invite: Any) -> None:
    """A name or password that is refused, or a receiver that fails, uses nothing up."""
    _, key = invite()
    assert api.post("rest_register", acceptance(key, password1="x", password2="x")).status == 400
    if policy.LOGIN_WITH != "email":
        taken = acceptance(key, username=USERS.get().username)
        assert api.post("rest_register", taken).code == "username_taken"

    def break_down(**kwargs: Any) -> None:
        raise RuntimeError

    user_signed_up.connect(break_down)
    try:
        assert api.post("rest_register", acceptance(key)).status == 500
    finally:
        user_signed_up.disconnect(break_down)
    assert (USERS.count(), AuthSession.objects.count()) == (1, 1)
    assert api.post("rest_register", acceptance(key)).status == 201


# --- Ending and renewing -------------------------------------------------------------------------


def test_a_revoked_invitation_ends(api: Api, staff: Api, invite: Any) -> None:
    invitation, key = invite()
    url = reverse("invitation", args=[invitation["id"]])
    assert staff.delete(url).status == 204
    assert refused(api.post("rest_register", acceptance(key)))
    assert staff.delete(url).status == 404
    assert staff.post(f"{url}resend/").status == 404
    (listed,) = staff.get("invitation_list").body["results"]
    assert listed["revoked"] is not None


def test_an_invitation_is_sent_again_with_a_new_link(
    api: Api, staff: Api, invite: Any, mailbox: list[Any]
) -> None:
    invitation, first = invite()
    url = reverse("invitation_resend", args=[invitation["id"]])
    Invitation.objects.update(expires_at=timezone.now())
    answer = staff.post(url)
    assert answer.status == 200
    assert answer.body["expires"] > invitation["expires"]
    second = link_secrets(mailbox[-1])["invitation"]
    assert refused(api.post("rest_register", acceptance(first)))
    assert api.post("rest_register", acceptance(second)).status == 201
    assert staff.post(url).status == 404
    assert staff.delete(reverse("invitation", args=[invitation["id"]])).status == 404


def test_inviting_twice_replaces_the_link(api: Api, staff: Api, invite: Any) -> None:
    first, old = invite()
    again, new = invite(first["email"].upper())
    assert again["id"] == first["id"]
    assert refused(api.post("rest_register", acceptance(old)))
    assert api.post("rest_register", acceptance(new)).status == 201
    third = staff.post("invitation_list", {"email": first["email"]})
    assert (third.status, third.body["id"] == first["id"]) == (201, False)


def test_an_address_with_an_account_is_answered_alike(
    staff: Api, account: Account, mailbox: list[Any], api: Api
) -> None:
    """201 with the same fields; the owner hears of it and gets no link to register with."""
    known = staff.post("invitation_list", {"email": account.user.email})
    told = mailbox[-1]
    unknown = staff.post("invitation_list", {"email": new_address()})
    assert (known.status, set(known.body)) == (unknown.status, set(unknown.body))
    assert {**known.body, "id": 0, "email": 0, "created": 0, "expires": 0} == {
        **unknown.body, "id": 0, "email": 0, "created": 0, "expires": 0
    }  # fmt: skip
    assert told.to == [account.user.email]
    assert "accept-invitation" not in told.body
    # Whoever got an account meanwhile is told so: the key was read in the mailbox.
    invitation = Invitation.objects.get(email=account.user.email)
    answer = api.post("rest_register", acceptance(invitation.key))
    assert (answer.status, answer.code) == (400, "email_taken")
    assert account.log_in().is_alive


# --- Who may ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("GET", "invitation_list"),
        ("POST", "invitation_list"),
        ("DELETE", "invitation"),
        ("POST", "invitation_resend"),
    ],
)
def test_only_staff_invites_and_only_the_own_are_seen(
    account: Account, staff: Api, invite: Any, make_account: Any, method: str, name: str
) -> None:
    """Nobody 401, a user 403; somebody else of the staff sees none of one's own: 404, as if missing."""
    invitation, _ = invite()
    url = reverse(name, args=[] if name == "invitation_list" else [invitation["id"]])
    body = {"email": new_address()} if method == "POST" else None
    assert Api().request(method, url, body).status == 401
    assert account.log_in().request(method, url, body).status == 403
    colleague = make_account(is_staff=True).log_in()
    answer = colleague.request(method, url, body)
    if name == "invitation_list":
        assert answer.status in (200, 201)
        assert invitation["id"] not in str(answer.body)
    else:
        missing = colleague.request(
            method, url.replace(invitation["id"], "0" * 8 + invitation["id"][8:]), body
        )
        assert answer.status == missing.status == 404
        assert {**answer.body, "request_id": ""} == {**missing.body, "request_id": ""}
    assert Invitation.objects.pending().filter(pk=invitation["id"]).exists()


def test_the_team_lets_others_invite(
    account: Account, monkeypatch: pytest.MonkeyPatch, mailbox: list[Any]
) -> None:
    """INVITATION_PERMISSION is what the views ask; here as if it named IsAuthenticated."""
    assert PERMISSION.endswith(views.OwnInvitations.permission_classes[0].__name__)
    monkeypatch.setattr(views.OwnInvitations, "permission_classes", (IsAuthenticated,))
    assert account.log_in().post("invitation_list", {"email": new_address()}).status == 201


def test_no_endless_invitations(staff: Api, mailbox: list[Any], clock: Any) -> None:
    answers = [staff.post("invitation_list", {"email": new_address()}) for _ in range(31)]
    assert {answer.status for answer in answers[:30]} == {201}
    assert (answers[-1].status, answers[-1].code) == (429, "throttled")
    assert len(mailbox) == 30


def test_the_list_comes_in_pages(staff: Api, invite: Any) -> None:
    sent = [invite()[0]["email"] for _ in range(3)]
    page = staff.get(f"{reverse('invitation_list')}?limit=2").body
    assert page["count"] == 3
    assert [each["email"] for each in page["results"]] == sent[:0:-1]
    assert len(staff.get(f"{reverse('invitation_list')}?limit=999999").body["results"]) == 3


@pytest.mark.parametrize(
    "email", ["", "x", "m\u0131ke@example.com", None, 5, "a@b@c", f"{'a' * 300}@b.c"]
)
def test_no_address_is_no_invitation(staff: Api, email: Any) -> None:
    answer = staff.post("invitation_list", {"email": email})
    assert (answer.status, list(answer.body["codes"])) == (400, ["email"])
    assert not Invitation.objects.exists()


# --- Races ------------------------------------------------------------------------------------


@pytest.fixture
def _unlimited(settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, "")


@real_transactions
@pytest.mark.usefixtures("_unlimited")
def test_parallel_acceptances_make_one_account(invite: Any) -> None:
    invitation, key = invite()
    answers = at_once(
        *(partial(Api().post, "rest_register", acceptance(key)) for _ in range(THREADS))
    )
    assert sorted(answer.status for answer in answers) == [201] + [400] * (THREADS - 1)
    unlike = [answer.body for answer in answers if answer.status == 400 and not refused(answer)]
    assert unlike == []
    assert EmailAddress.objects.filter(email=invitation["email"], verified=True).count() == 1
    assert USERS.count() == 2


@pytest.mark.inside
def test_who_comes_second_hears_of_the_invitation(
    invite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that the name or the address is taken, when the first is done after the second has begun."""
    body = acceptance(invite()[1])
    validate = RegisterSerializer.validate

    def validate_late(self: RegisterSerializer, attrs: dict[str, Any]) -> dict[str, Any]:
        monkeypatch.undo()
        assert Api().post("rest_register", body).status == 201
        return validate(self, attrs)

    monkeypatch.setattr(RegisterSerializer, "validate", validate_late)
    assert refused(Api().post("rest_register", body))


@real_transactions
@pytest.mark.usefixtures("_unlimited")
def test_parallel_invitations_of_an_address_are_one(staff: Api) -> None:
    email = new_address()
    answers = at_once(*[partial(staff.post, "invitation_list", {"email": email})] * THREADS)
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body["id"] for answer in answers}) == 1
    assert Invitation.objects.count() == 1


@real_transactions
@pytest.mark.usefixtures("_unlimited")
def test_an_acceptance_that_races_a_withdrawal_is_one_of_both(staff: Api, invite: Any) -> None:
    for _ in range(4):
        invitation, key = invite()
        accepted, revoked = at_once(
            partial(Api().post, "rest_register", acceptance(key)),
            partial(staff.delete, reverse("invitation", args=[invitation["id"]])),
        )
        assert (accepted.status, revoked.status) in {(201, 404), (400, 204)}
        assert USERS.filter(email=invitation["email"]).exists() == (accepted.status == 201)


@pytest.mark.inside
def test_the_database_keeps_one_pending_invitation() -> None:
    Invitation.objects.create(email="ada@example.com", **Invitation.fresh_link())
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.create(email="ADA@example.com", **Invitation.fresh_link())


# --- What is left behind -----------------------------------------------------------------------


def test_what_happens_is_recorded(api: Api, staff: Api, invite: Any) -> None:
    """Who invited, sent again, withdrew and accepted; no address, and nothing to follow."""
    invitation, _ = invite()
    url = reverse("invitation", args=[invitation["id"]])
    staff.post(f"{url}resend/")
    staff.delete(url)
    other, key = invite()
    answer = api.post("rest_register", acceptance(key))
    assert events() == [
        "user_invitation_sent",
        "user_invitation_sent",
        "user_invitation_revoked",
        "user_invitation_sent",
        "user_invitation_accepted",
        "user_created",
    ]
    accepted = AuditEvent.objects.get(event="user_invitation_accepted")
    assert str(accepted.user_id) == answer.body["user"]["pk"]
    assert accepted.detail == {"invitation": other["id"]}
    sent = AuditEvent.objects.filter(event="user_invitation_sent")
    assert {str(each.user_id) for each in sent} == {staff.get("rest_user_details").body["pk"]}
    assert not [each for each in AuditEvent.objects.all() if key in str(vars(each))]


def test_no_key_is_stored(invite: Any) -> None:
    _, key = invite()
    assert key.split(":")[1] not in str(list(Invitation.objects.values_list()))


def test_an_invitation_outlives_who_sent_it_and_not_whom_it_brought(api: Api, invite: Any) -> None:
    invitation, key = invite()
    USERS.all().delete()
    assert api.post("rest_register", acceptance(key)).status == 201
    assert Invitation.objects.get().invited_by is None
    USERS.filter(email=invitation["email"]).delete()
    assert not Invitation.objects.exists()


def test_ended_invitations_are_purged(api: Api, staff: Api, invite: Any, clock: Any) -> None:
    """Some days after they expired or were withdrawn; those accepted and those pending stay."""
    accepted = invite()
    api.post("rest_register", acceptance(accepted[1]))
    expired, revoked = invite()[0], invite()[0]
    staff.delete(reverse("invitation", args=[revoked["id"]]))
    assert purge(timezone.now()) == 0
    clock.shift((DAYS + policy.UNVERIFIED_RETENTION_DAYS) * DAY + 60)
    pending = Invitation.objects.create(email=new_address(), **Invitation.fresh_link())
    assert purge(timezone.now()) == 2
    left = {str(each) for each in Invitation.objects.values_list("pk", flat=True)}
    assert left == {accepted[0]["id"], str(pending.pk)}
    assert expired["id"] not in left


# --- Where it is seen ----------------------------------------------------------------------------


@pytest.mark.skipif(not django_settings.ADMIN_PATH, reason="the admin is switched off")
def test_the_admin_shows_withdraws_and_sends_again(
    api: Api, invite: Any, make_account: Any, mailbox: list[Any], settings: Any
) -> None:
    settings.ADMIN_NETWORKS = []
    browser = Client()
    browser.force_login(make_account(is_staff=True, is_superuser=True).user)
    invitation, first = invite()
    url = reverse("admin:auth_invitations_invitation_changelist")
    page = browser.get(url)
    assert invitation["email"] in page.content.decode()
    assert Invitation.objects.get().link not in page.content.decode()
    chosen = {"_selected_action": invitation["id"]}
    browser.post(url, {"action": "resend", **chosen})
    assert refused(api.post("rest_register", acceptance(first)))
    browser.post(url, {"action": "revoke", **chosen})
    assert not Invitation.objects.pending().exists()
    change = reverse("admin:auth_invitations_invitation_change", args=[invitation["id"]])
    assert browser.post(change, {"email": "evil@example.com"}).status_code == 403
    assert browser.get(f"{url}add/").status_code == 403
    assert len(events()) == 3


@pytest.mark.skipif(not django_settings.FRONTEND_PATH, reason="no built-in pages by the policy")
def test_the_link_leads_to_a_page_that_talks_to_the_api(invite: Any, mailbox: list[Any]) -> None:
    invite()
    assert "/account/accept-invitation#invitation=" in mailbox[-1].body
    html = Client().get("/account/accept-invitation").content.decode()
    assert f'data-endpoint="{reverse("rest_register")}"' in html
    assert 'data-needs="invitation"' in html
    assert ('name="username"' in html) == (policy.LOGIN_WITH != "email")
    assert "<script>" not in html
    assert "style=" not in html


def test_the_link_ignores_the_host_header(staff: Api, mailbox: list[Any], settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    body = {"email": new_address()}
    assert staff.post("invitation_list", body, Host="evil.example").status == 201
    assert "evil.example" not in mailbox[-1].body
    assert f"{settings.FRONTEND_URL}/{settings.FRONTEND_PATH}accept-invitation#" in mailbox[-1].body


def test_a_new_password_may_not_be_the_address(api: Api, invite: Any) -> None:
    """The policy of passwords knows the address, though the body does not hold it."""
    email = "a.rather.long.address.of.mine@example.com"
    _, key = invite(email)
    body = acceptance(key, password1=email, password2=email)
    assert "password_too_similar" in api.post("rest_register", body).body["codes"]["password1"]
    body = acceptance(key, password1=OTHER_PASSWORD, password2=OTHER_PASSWORD)
    assert api.post("rest_register", body).status == 201
