"""Coming in: sign-in with its lock, where it leads, sign-out, and the owner's one-time link."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation.actions import people
from annotation.models import SetupLink, User
from tests.cast import PASSWORD, Cast

pytestmark = pytest.mark.django_db
OTHER = "a quiet stone in the brook"


def sign_in(client: Client, name: str, password: str = PASSWORD, **more: str) -> object:
    return client.post("/sign-in/", {"username": name, "password": password, **more})


def test_a_page_asks_to_sign_in_and_leads_back(client: Client, cast: Cast) -> None:
    response = client.get("/new/?x=1")
    assert (response.status_code, response["Location"]) == (302, "/sign-in/?next=%2Fnew%2F%3Fx%3D1")
    response = client.post("/sign-in/", {"username": "alice", "password": PASSWORD, "next": "/new/?x=1"})
    assert (response.status_code, response["Location"]) == (302, "/new/?x=1")


@pytest.mark.parametrize("next_url", ["https://elsewhere.test/", "//elsewhere.test/", "javascript:alert(1)", "\\\\e"])
def test_sign_in_never_leads_elsewhere(client: Client, cast: Cast, next_url: str) -> None:
    response = client.post("/sign-in/", {"username": "alice", "password": PASSWORD, "next": next_url})
    assert (response.status_code, response["Location"]) == (302, "/")


def test_a_wrong_password_says_so_and_signs_nobody_in(client: Client, cast: Cast) -> None:
    response = client.post("/sign-in/", {"username": "alice", "password": "wrong"})
    assert response.status_code == 400
    assert "do not fit together" in response.content.decode()
    assert "_auth_user_id" not in client.session


def test_ten_wrong_passwords_lock_the_name_for_a_while_and_say_what_to_do(client: Client, cast: Cast) -> None:
    for _ in range(10):
        response = client.post("/sign-in/", {"username": "alice", "password": "wrong"})
    assert response.status_code == 429
    assert "Too many wrong passwords" in response.content.decode()
    assert client.post("/sign-in/", {"username": "alice", "password": PASSWORD}).status_code == 429
    assert client.post("/sign-in/", {"username": "bob", "password": PASSWORD}).status_code == 302


def test_many_right_passwords_lock_nobody(client: Client, cast: Cast) -> None:
    statuses = {client.post("/sign-in/", {"username": "alice", "password": PASSWORD}).status_code for _ in range(12)}
    assert statuses == {302}


def test_signing_out_takes_a_post(client: Client, cast: Cast) -> None:
    client.force_login(cast.alice, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/sign-out/").status_code == 405
    assert "_auth_user_id" in client.session
    assert client.post("/sign-out/").status_code == 302
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("path", ["/sign-in/", "/sign-out/", "/new/"])
def test_forms_need_the_csrf_token(cast: Cast, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.olga, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(path, {"username": "alice", "password": PASSWORD}).status_code == 403


def set_up(client: Client, token: str, **more: str) -> object:
    return client.post(
        f"/setup/{token}", {"username": "olga", "password": OTHER, "password_again": OTHER, **more}, follow=True
    )


def test_the_one_time_link_makes_the_owner_signs_them_in_and_works_once(client: Client, db: None) -> None:
    token = people.create_setup_link()
    assert "Set up the owner" in client.get(f"/setup/{token}").content.decode()
    response = client.post(f"/setup/{token}", {"username": "olga", "password": OTHER, "password_again": OTHER})
    assert (response.status_code, response["Location"]) == (302, "/")
    owner = User.objects.get(username="olga")
    assert owner.is_superuser
    assert client.session["_auth_user_id"] == str(owner.pk)
    again = Client().post(f"/setup/{token}", {"username": "eve", "password": OTHER, "password_again": OTHER})
    assert (again.status_code, User.objects.filter(username="eve").exists()) == (404, False)
    assert "touchstone owner-link" in again.content.decode()


def test_an_expired_link_says_what_to_do(client: Client, db: None) -> None:
    token = people.create_setup_link()
    SetupLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    response = client.get(f"/setup/{token}")
    assert response.status_code == 404
    assert "touchstone owner-link" in response.content.decode()


def test_a_weak_password_or_two_different_ones_leave_the_link_usable(client: Client, db: None) -> None:
    token = people.create_setup_link()
    weak = client.post(f"/setup/{token}", {"username": "olga", "password": "short", "password_again": "short"})
    assert weak.status_code == 400
    assert "too short" in weak.content.decode()
    differ = client.post(f"/setup/{token}", {"username": "olga", "password": OTHER, "password_again": OTHER + "."})
    assert differ.status_code == 400
    assert "The two passwords differ" in differ.content.decode()
    assert not User.objects.filter(username="olga").exists()
    assert client.get(f"/setup/{token}").status_code == 200


def test_what_is_typed_into_a_form_is_escaped(client: Client, cast: Cast) -> None:
    response = client.post("/sign-in/", {"username": '"><script>alert(1)</script>', "password": "x"})
    assert "<script>alert(1)" not in response.content.decode()
