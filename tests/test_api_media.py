"""Images over HTTP: sent in by their SHA-256, shown by the guarded route to the one person a link was made for."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.test import Client
from PIL import Image

from annotation.media import MAX_BYTES, media_path, sign_media
from annotation.models import Media, User
from tests.api_client import Api, fault_of, make_png
from tests.cast import Cast, Desk, MakeDesk, import_rows
from tests.media_files import box, make_image, make_mp3, make_mp4, make_wav

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


def find_src(api: Api, kind: str = "image") -> str:
    """The `src` of the image, or of another kind of part, as a lease shows it."""
    parts = [part for lease in api.lease(n=2) for part in lease["item"]["parts"]]
    [src] = [part["src"] for part in parts if part["kind"] == kind]
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


def test_a_file_over_the_limit_is_refused_by_its_length(make_desk: MakeDesk) -> None:
    raw = b"\x89PNG" + bytes(MAX_BYTES)
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


def collect(response: Any) -> bytes:
    """The bytes of an answer that is a file or a part of one; the connection stays open for another request."""
    return b"".join(response.streaming_content)


def test_a_range_of_the_bytes_is_sent(desk: Desk) -> None:
    api = Api(desk.cast.alice)
    src = find_src(api)
    whole = collect(api.get(src))
    response = api.get(src, Range="bytes=4-9")
    assert (response.status_code, response["Content-Range"]) == (206, f"bytes 4-9/{len(whole)}")
    assert response["Content-Length"] == "6"
    assert collect(response) == whole[4:10]
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["Cache-Control"] == "private, no-store"
    assert response["Content-Disposition"] == f'attachment; filename="{SHA[:16]}.png"'


def test_a_range_beyond_the_end_is_answered_with_the_size(desk: Desk) -> None:
    api = Api(desk.cast.alice)
    src = find_src(api)
    size = len(collect(api.get(src)))
    response = api.get(src, Range=f"bytes={size}-")
    assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{size}")


def test_a_range_of_other_bytes_brings_all_of_them(desk: Desk) -> None:
    api = Api(desk.cast.alice)
    src = find_src(api)
    first = api.get(src)
    whole, etag = collect(first), first["ETag"]
    same = api.get(src, **{"Range": "bytes=0-3", "If-Range": etag})
    assert (same.status_code, collect(same)) == (206, whole[:4])
    other = api.get(src, **{"Range": "bytes=0-3", "If-Range": '"other"'})
    assert (other.status_code, collect(other)) == (200, whole)


def test_a_range_needs_the_link_too(desk: Desk) -> None:
    src = find_src(Api(desk.cast.alice))
    assert fault_of(Api(desk.cast.bob).get(src, Range="bytes=0-3")) == (404, "not_found")


PLACE = b"where-it-was-taken"


def taken_somewhere(kind: str) -> bytes:
    """A picture with the position at which a camera was."""
    exif = Image.Exif()
    exif[0x010E] = PLACE.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 26.0), 3: "W", 4: (0.0, 7.0, 39.0)})
    return make_image(kind, exif=exif)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("image", taken_somewhere("JPEG")),
        ("image", taken_somewhere("PNG")),
        ("image", taken_somewhere("WEBP")),
        ("image", make_image("JPEG", comment=PLACE)),
        ("video", make_mp4(told=box(b"udta", box(b"\xa9xyz", PLACE)))),
        ("audio", make_mp3(tag=PLACE)),
    ],
)
def test_the_place_where_it_was_taken_is_not_in_what_is_shown(make_desk: MakeDesk, kind: str, raw: bytes) -> None:
    desk = make_desk(n=1)
    sha256 = hashlib.sha256(raw).hexdigest()
    media_path(desk.project.pk, sha256).unlink(missing_ok=True)
    shown = put(Api(desk.cast.enzo), raw, sha256).json()
    import_rows(desk.project, [{"external_id": "taken", "parts": [{"kind": kind, "media": sha256}]}])
    api = Api(desk.cast.alice)
    found = read(api.get(find_src(api, kind)))
    assert PLACE in raw
    assert PLACE not in found
    assert b"Exif" not in found
    assert b"EXIF" not in found
    assert shown["size"] == len(found)


def test_audio_is_taken_shown_and_sent_in_ranges(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = make_wav()
    sha256 = hashlib.sha256(raw).hexdigest()
    media_path(desk.project.pk, sha256).unlink(missing_ok=True)
    expected = {"sha256": sha256, "size": len(raw), "mime": "audio/wav", "width": None, "height": None}
    assert put(Api(desk.cast.enzo), raw, sha256).json() == expected
    import_rows(desk.project, [{"external_id": "clip", "parts": [{"kind": "audio", "media": sha256}]}])
    api = Api(desk.cast.alice)
    [src] = [part["src"] for lease in api.lease(n=2) for part in lease["item"]["parts"] if part["kind"] == "audio"]
    response = api.get(src, Range="bytes=-20")
    assert (response.status_code, response["Content-Type"]) == (206, "audio/wav")
    assert collect(response) == raw[-20:]


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
