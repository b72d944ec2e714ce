"""API calls with a token pass by what is for browsers: nothing that their callers see changes, and pages keep it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from annotation.models import User
from tests.api_client import Api
from tests.cast import MakeDesk

pytestmark = pytest.mark.django_db

FOR_BROWSERS = ("session", "user", "htmx", "_messages")


def sign_in(user: User) -> Client:
    """A browser that somebody is signed in with."""
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def read_headers(response: Any) -> dict[str, str | list[str]]:
    """All headers but the body's length; the policy as sorted directives, and without that the cookie was looked at."""
    headers: dict[str, str | list[str]] = {name.lower(): value for name, value in response.headers.items()}
    headers["content-security-policy"] = sorted(response["Content-Security-Policy"].split("; "))
    headers["vary"] = [name for name in response["Vary"].split(", ") if name != "Cookie"]
    headers.pop("content-length")
    return headers


@pytest.mark.parametrize("path", ["projects/forum/leases", "projects/forum", "projects/none/leases", "no/such/address"])
def test_a_token_s_answer_has_the_headers_of_a_session_s(make_desk: MakeDesk, path: str) -> None:
    alice = make_desk().cast.alice
    by_token, by_session = Api(alice).get(path), sign_in(alice).get(f"/api/v1/{path}")
    assert by_token.status_code == by_session.status_code
    assert read_headers(by_token) == read_headers(by_session)
    assert "'nonce-" not in by_token["Content-Security-Policy"]


@pytest.mark.parametrize("header", ["Bearer", "Bearer ts_no", "bEARER\tts_no"])
def test_a_token_call_is_not_given_what_is_for_browsers(make_desk: MakeDesk, header: str) -> None:
    browser = sign_in(make_desk().cast.alice)
    refused = browser.get("/api/v1/projects/forum/leases", headers={"Authorization": header})
    assert refused.status_code == 401
    assert [name for name in FOR_BROWSERS if hasattr(refused.wsgi_request, name)] == []


def test_a_page_and_a_session_s_call_are_given_it(make_desk: MakeDesk) -> None:
    browser = sign_in(make_desk().cast.alice)
    page = browser.get("/", headers={"Authorization": "Bearer ts_no"})
    call = browser.get("/api/v1/projects/forum/leases", headers={"Authorization": "Basic eA=="})
    assert (page.wsgi_request.user.username, call.status_code) == ("alice", 200)
    assert [name for name in FOR_BROWSERS if not hasattr(page.wsgi_request, name)] == []
    assert [name for name in FOR_BROWSERS if not hasattr(call.wsgi_request, name)] == []


def test_a_page_s_scripts_are_in_its_policy_by_their_nonce() -> None:
    page: Any = Client().get("/sign-in", follow=True)
    nonce = str(page.wsgi_request._csp_nonce)
    assert f"'nonce-{nonce}'" in page["Content-Security-Policy"]
    assert f'nonce="{nonce}"' in page.content.decode()
