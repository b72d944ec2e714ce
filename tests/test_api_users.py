"""`users`, tokens, and who a caller is taken for."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation.models import ApiToken, User
from tests.api_client import Api, fault_of, make_root
from tests.cast import PASSWORD, Cast, MakeDesk

pytestmark = pytest.mark.django_db


def test_an_administrator_adds_people(cast: Cast) -> None:
    api = Api(make_root())
    response = api.post("users", {"username": "nina", "password": "a long and dull password"})
    assert response.status_code == 201
    assert response.json() == {"id": str(User.objects.get(username="nina").pk), "username": "nina"}
    assert User.objects.get(username="nina").check_password("a long and dull password")
    assert fault_of(api.post("users", {"username": "nina", "password": PASSWORD})) == (409, "exists")
    assert fault_of(Api(cast.olga).post("users", {"username": "x", "password": PASSWORD})) == (403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [
        {"username": "nina"},
        {"password": PASSWORD},
        {"username": "nina", "password": "short"},
        {"username": "nina", "password": None},
        {"username": "no spaces", "password": PASSWORD},
        {"username": "a/b", "password": PASSWORD},
        {"username": "", "password": PASSWORD},
        {"username": "x" * 151, "password": PASSWORD},
        {"username": 5, "password": PASSWORD},
        {"username": "nina", "password": PASSWORD, "is_superuser": True},
    ],
)
def test_a_faulty_user_is_refused(db: None, body: dict[str, object]) -> None:
    root = make_root()
    assert fault_of(Api(root).post("users", body)) == (400, "invalid")
    assert list(User.objects.all()) == [root]


def test_a_token_is_shown_once_and_works(make_desk: MakeDesk) -> None:
    desk = make_desk()
    response = Api(desk.cast.alice).post("users/alice/tokens", {})
    body = response.json()
    assert response.status_code == 201
    assert set(body) == {"id", "token", "expires_at"}
    assert body["token"].startswith("ts_")
    assert "no-store" in response["Cache-Control"]
    left = ApiToken.objects.get(pk=body["id"]).expires_at - timezone.now()
    assert timedelta(days=89) < left <= timedelta(days=90)
    fresh = Api(None)
    fresh.headers["Authorization"] = f"Bearer {body['token']}"
    assert fresh.get("projects/forum").status_code == 200


def test_an_administrator_makes_tokens_for_anyone(cast: Cast) -> None:
    api = Api(make_root())
    response = api.post("users/alice/tokens", {"days": 1, "scopes": ["label"]})
    assert response.status_code == 201
    assert ApiToken.objects.get(pk=response.json()["id"]).user == cast.alice
    assert fault_of(api.post("users/nobody/tokens", {})) == (404, "not_found")
    assert fault_of(Api(cast.olga).post("users/alice/tokens", {})) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        {"days": 0},
        {"days": 366},
        {"days": 10**12},
        {"days": 1.5},
        {"days": True},
        {"days": None},
        {"scopes": "label"},
        {"scopes": ["everything"]},
        {"scopes": [1]},
        {"user": "olga"},
        [],
    ],
)
def test_a_faulty_token_request_is_refused(cast: Cast, body: object) -> None:
    assert fault_of(Api(cast.alice).post("users/alice/tokens", body)) == (400, "invalid")


def test_a_narrow_token_does_what_its_scopes_say_and_no_more(make_desk: MakeDesk) -> None:
    desk = make_desk()
    api = Api(desk.cast.alice, scopes=["label"])
    [lease] = api.lease()
    assert api.answer(lease["id"]).status_code == 201
    assert fault_of(api.get("projects/forum")) == (403, "forbidden")
    assert fault_of(Api(desk.cast.olga, scopes=["see"]).patch("projects/forum", {"name": "x"})) == (403, "forbidden")


def test_a_narrow_token_passes_on_no_more_than_it_has(cast: Cast) -> None:
    api = Api(cast.alice, scopes=["label", "see"])
    assert fault_of(api.post("users/alice/tokens", {})) == (403, "forbidden")
    assert fault_of(api.post("users/alice/tokens", {"scopes": ["see", "manage"]})) == (403, "forbidden")
    assert api.post("users/alice/tokens", {"scopes": ["see"]}).status_code == 201


def test_a_narrow_token_of_an_administrator_administers_nothing(cast: Cast) -> None:
    api = Api(make_root(), scopes=["manage"])
    assert fault_of(api.post("users", {"username": "nina", "password": PASSWORD})) == (403, "forbidden")
    assert fault_of(api.post("users/alice/tokens", {"scopes": ["manage"]})) == (403, "forbidden")


def test_a_disabled_user_is_refused_at_once(make_desk: MakeDesk) -> None:
    desk = make_desk()
    api = Api(desk.cast.alice)
    session = Client()
    session.force_login(desk.cast.alice, backend="django.contrib.auth.backends.ModelBackend")
    assert api.get("projects/forum").status_code == session.get("/api/v1/projects/forum").status_code == 200
    User.objects.filter(pk=desk.cast.alice.pk).update(is_active=False)
    assert fault_of(api.get("projects/forum")) == (401, "not_authenticated")
    assert fault_of(api.post("projects/forum/leases", {})) == (401, "not_authenticated")
    assert fault_of(session.get("/api/v1/projects/forum")) == (401, "not_authenticated")
    assert fault_of(session.get("/api/v1/projects/forum/leases")) == (401, "not_authenticated")


@pytest.mark.parametrize("change", ["expires_at", "revoked_at"])
def test_an_old_or_revoked_token_is_refused(make_desk: MakeDesk, change: str) -> None:
    api = Api(make_desk().cast.alice)
    ApiToken.objects.update(**{change: timezone.now() - timedelta(seconds=1)})
    for path in ("projects/forum", "projects/forum/leases"):
        response = api.get(path)
        assert fault_of(response) == (401, "not_authenticated")
        assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer a b", "Bearer ts_nonsense", "Bearer \xff\xfe", "bearer x"]
)
def test_a_token_that_is_none_is_refused_even_beside_a_session(make_desk: MakeDesk, header: str) -> None:
    desk = make_desk()
    api = Api(None)
    api.client.force_login(desk.cast.alice, backend="django.contrib.auth.backends.ModelBackend")
    api.headers["Authorization"] = header
    for path in ("projects/forum", "projects/forum/leases"):
        assert fault_of(api.get(path)) == (401, "not_authenticated")


def test_the_last_use_is_written_once_a_minute(make_desk: MakeDesk) -> None:
    desk = make_desk()
    api = Api(desk.cast.alice)

    def last_use() -> datetime | None:
        return ApiToken.objects.get(user=desk.cast.alice).last_used_at

    assert last_use() is None
    api.get("projects/forum")
    first = last_use()
    assert first is not None
    api.get("projects/forum")
    api.post("projects/forum/leases", {})
    assert last_use() == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    api.get("projects/forum")
    assert (last_use() or first) >= first


def test_a_session_changes_something_only_with_its_csrf_token(make_desk: MakeDesk) -> None:
    desk = make_desk()
    client = Client(enforce_csrf_checks=True)
    client.force_login(desk.cast.olga, backend="django.contrib.auth.backends.ModelBackend")
    api = Api(None, client=client)
    assert api.get("projects/forum").status_code == 200
    assert fault_of(api.patch("projects/forum", {"name": "x"})) == (403, "csrf_failed")
    assert fault_of(api.post("projects/forum/leases", {})) == (403, "csrf_failed")
    secret = "x" * 32
    client.cookies["csrftoken"] = secret
    api.headers["X-CSRFToken"] = secret
    assert api.patch("projects/forum", {"name": "x"}).status_code == 200
    assert api.post("projects/forum/leases", {}).status_code == 200


def test_a_token_needs_no_csrf_token(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.olga, client=Client(enforce_csrf_checks=True))
    assert api.patch("projects/forum", {"name": "x"}).status_code == 200
    assert api.post("projects/forum/leases", {}).status_code == 200
