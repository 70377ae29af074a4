"""An example to replace: how a test of yours logs in (fixtures: auth_core/testing.py)."""

from auth_core.testing import Account, Api


def test_only_a_logged_in_user_gets_in(api: Api, account: Account) -> None:
    assert api.get("rest_user_details").status == 401
    client = account.log_in()
    assert client.get("rest_user_details").status == 200
