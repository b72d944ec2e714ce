"""Images over HTTP: sent in by their SHA-256, shown by the guarded route to the one person a link was made for."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.test import Client

from annotation.media import MAX_IMAGE_BYTES, media_path, sign_media
from annotation.models import Media, User
from tests.api_client import Api, fault_of, make_png
from tests.cast import Cast, Desk, MakeDesk, import_rows

pytestmark = pytest.mark.django_db

PNG = make_png()
SHA = hashlib.sha256(PNG).hexdigest()


def put(api: Api, raw: bytes = PNG, sha256: str = SHA, **headers: str) -> Any:
    return api.put(f"projects/forum/media/{sha256}", raw=raw, content_type="image/png", **headers)


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A project with one image item beside a text."""
    desk = make_desk(n=1)
    media_path(desk.project.pk, SHA).unlink(missing_ok=True)  # projects of earlier tests had the same number
    assert put(Api(desk.cast.enzo)).status_code == 201
    import_rows(desk.project, [{"external_id": "image", "parts": [{"kind": "image", "media": SHA}]}])
    return desk


def find_src(api: Api) -> str:
    """The `src` of the image, as a lease shows it."""
    parts = [part for lease in api.lease(n=2) for part in lease["item"]["parts"]]
    [src] = [part["src"] for part in parts if part["kind"] == "image"]
    return str(src)


def read(response: Any) -> bytes:
    """The bytes of an answer that is a file."""
    assert response.status_code == 200
    content = b"".join(response.streaming_content)
    response.close()
    return content


def test_bytes_are_kept_once(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    api = Api(desk.cast.enzo)
    first, again = put(api), put(api)
    assert (first.status_code, again.status_code) == (201, 200)
    assert (
        first.json() == again.json() == {"sha256": SHA, "size": len(PNG), "mime": "image/png", "width": 3, "height": 2}
    )
    assert Media.objects.count() == 1
    assert media_path(desk.project.pk, SHA).read_bytes() == PNG


@pytest.mark.parametrize(
    ("raw", "sha256", "fault"),
    [
        (PNG, "0" * 64, (400, "invalid_media")),
        (PNG, "abc", (400, "invalid")),
        (PNG, SHA.upper(), (400, "invalid")),
        (PNG, "%00" * 64, (400, "invalid")),
        (b"", hashlib.sha256(b"").hexdigest(), (400, "invalid_media")),
        (b"<svg/>", hashlib.sha256(b"<svg/>").hexdigest(), (400, "invalid_media")),
        (PNG[:-9], hashlib.sha256(PNG[:-9]).hexdigest(), (400, "invalid_media")),
    ],
)
def test_what_is_no_such_image_is_refused(make_desk: MakeDesk, raw: bytes, sha256: str, fault: tuple[int, str]) -> None:
    assert fault_of(put(Api(make_desk(n=1).cast.enzo), raw, sha256)) == fault
    assert not Media.objects.exists()


def test_an_image_over_the_limit_is_refused_by_its_length(make_desk: MakeDesk) -> None:
    raw = b"\x89PNG" + bytes(MAX_IMAGE_BYTES)
    assert fault_of(put(Api(make_desk(n=1).cast.enzo), raw)) == (413, "too_large")


def test_a_link_shows_the_image_to_its_person_and_cannot_do_more(desk: Desk) -> None:
    api = Api(desk.cast.alice)
    response = api.get(find_src(api))
    assert read(response) == PNG
    assert response["Content-Type"] == "image/png"
    assert response["Content-Length"] == str(len(PNG))
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"
    assert response["Cache-Control"] == "private, no-store"
    assert response["Content-Disposition"].startswith("attachment")


def test_a_link_works_in_the_person_s_browser_session_too(desk: Desk) -> None:
    src = find_src(Api(desk.cast.alice))
    client = Client()
    client.force_login(desk.cast.alice, backend="django.contrib.auth.backends.ModelBackend")
    assert read(client.get(src)) == PNG


@pytest.mark.parametrize("name", ["bob", "rita", "olga", "mallory"])
def test_a_link_works_for_nobody_else(desk: Desk, name: str) -> None:
    src = find_src(Api(desk.cast.alice))
    assert fault_of(Api(desk.cast[name]).get(src)) == (404, "not_found")
    assert fault_of(Api(None).get(src)) == (401, "not_authenticated")


def test_a_link_dies_with_the_membership(desk: Desk) -> None:
    alice = Api(desk.cast.alice)
    src = find_src(alice)
    Api(desk.cast.olga).delete("projects/forum/members/alice")
    assert fault_of(alice.get(src)) == (404, "not_found")


def test_a_link_dies_with_the_person_s_account(desk: Desk) -> None:
    alice = Api(desk.cast.alice)
    src = find_src(alice)
    User.objects.filter(pk=desk.cast.alice.pk).update(is_active=False)
    assert fault_of(alice.get(src)) == (401, "not_authenticated")


def test_a_link_lives_for_minutes(desk: Desk) -> None:
    import datetime as dt

    from django.utils import timezone

    old = sign_media(f"{desk.project.pk}:{SHA}", desk.cast.alice.pk, timezone.now() - dt.timedelta(minutes=6))
    assert fault_of(Api(desk.cast.alice).get(f"/media/forum/{SHA}?t={old}")) == (404, "not_found")


@pytest.mark.parametrize("query", ["", "?t=", "?t=1.x", "?t=%00", "?t=" + "9" * 400, "?x=1"])
def test_a_link_without_its_token_shows_nothing(desk: Desk, query: str) -> None:
    assert fault_of(Api(desk.cast.alice).get(f"/media/forum/{SHA}{query}")) == (404, "not_found")


@pytest.mark.parametrize(
    "address", ["/media/forum/..%2f..%2fsecret", "/media/forum/" + "0" * 64, "/media/absent/" + SHA]
)
def test_no_other_file_is_reached(desk: Desk, address: str) -> None:
    assert fault_of(Api(desk.cast.alice).get(address)) == (404, "not_found")


def test_the_same_image_in_another_project_is_another_file(desk: Desk, cast: Cast) -> None:
    mallory = Api(cast.mallory)
    question = {"name": "n", "kind": "rating", "min": 1, "max": 5}
    mallory.post("projects", {"slug": "own", "name": "Own", "schema": {"questions": [question]}})
    token = find_src(Api(desk.cast.alice)).split("?")[1]
    assert fault_of(mallory.get(f"/media/own/{SHA}?{token}")) == (404, "not_found")
