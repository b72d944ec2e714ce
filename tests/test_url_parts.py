"""Parts that name a file by its address: fetched by the worker once, kept as media, faults told by line."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as live_settings
from django.db import connections

from annotation import job_kinds
from annotation.actions.imports import start_import
from annotation.fetching import FetchLimits
from annotation.jobs import run_job
from annotation.media import media_path
from annotation.models import Item, ItemPayload, Job, Media
from tests.api_client import Api
from tests.cast import Desk, MakeDesk
from tests.file_server import FileServer, body, in_turn, serve, status
from tests.job_rows import age_heartbeat
from tests.media_files import make_image, make_wav
from tests.test_imports import lines, run_file, upload

pytestmark = pytest.mark.django_db(transaction=True)

assert job_kinds  # registers the kind

PICTURE = make_image("PNG", (200, 100))


@pytest.fixture(autouse=True)
def media_dir(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_DIR = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture
def server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server on this machine, which the setting allows to be asked, without long pauses."""
    settings.FETCH_NETWORKS = [ip_network("127.0.0.0/8")]
    quick = FetchLimits(silent_seconds=1, wall_seconds=3, pause_seconds=0.01)
    monkeypatch.setattr("annotation.fetching.FetchLimits", lambda: quick)
    with serve() as one:
        one.answers["/a.png"] = body(PICTURE)
        yield one


def row(name: str, *urls: str, kind: str = "image") -> dict[str, Any]:
    return {"external_id": name, "parts": [{"kind": kind, "url": url} for url in urls]}


def parts_of(desk: Desk, name: str) -> list[dict[str, str]]:
    parts: list[dict[str, str]] = ItemPayload.objects.get(item=desk.item(name)).parts
    return parts


def bring(desk: Desk, *rows: dict[str, Any], **options: Any) -> Job:
    return run_file(desk, lines(rows), "rows.jsonl", **options)


def reasons(job: Job) -> dict[int, str]:
    assert job.result is not None
    return {error["line"]: error["reason"] for error in job.result["errors"]}


def left_behind() -> list[Path]:
    return [path for path in Path(live_settings.UPLOAD_DIR).iterdir() if path.name.endswith(".urls")]


def test_what_is_stored_is_the_file_and_not_its_address(server: FileServer, make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    text = {"external_id": "text", "parts": [{"kind": "text", "text": "no file"}]}
    job = bring(desk, text, row("one", server.url("/a.png?key=secret")))
    assert (job.state, job.result) == ("done", {"imported": 2, "unchanged": 0, "rejected": 0, "errors": []})
    [part] = parts_of(desk, "one")
    media = Media.objects.get()
    assert part == {"name": "image", "kind": "image", "role": "target", "media": media.sha256}
    assert (media.mime, media.width, media.height) == ("image/png", 200, 100)
    parts = [part for lease in Api(desk.cast.alice).lease(n=3) for part in lease["item"]["parts"]]
    [shown] = [part for part in parts if part["kind"] == "image"]
    assert set(shown) == {"name", "kind", "role", "media", "src"}
    assert left_behind() == []


def test_an_address_is_asked_once_however_often_it_stands(server: FileServer, make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    url = server.url("/a.png")
    votes = [{"annotator": "old", "answers": {"verdict": "spam"}}]  # read a second time after the flip
    rows = [row(f"r-{i}", url, url) | {"annotations": votes} for i in range(40)]
    job = bring(desk, *rows)
    assert (job.state, job.done) == ("done", 80)
    assert server.paths() == ["/a.png"]
    assert Media.objects.count() == 1


def test_the_same_rows_again_are_unchanged_and_other_bytes_are_refused(server: FileServer, make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    assert bring(desk, row("one", server.url("/a.png"))).state == "done"
    again = bring(desk, row("one", server.url("/a.png")))
    assert again.result == {"imported": 0, "unchanged": 1, "rejected": 0, "errors": []}
    server.answers["/a.png"] = body(make_image("PNG", (64, 64)))
    other = bring(desk, row("one", server.url("/a.png")))
    assert "other parts" in reasons(other)[1]
    assert Media.objects.count() == 1


def test_each_fault_says_where_and_what_and_nothing_stays(
    server: FileServer, make_desk: MakeDesk, media_dir: Path, settings: Any
) -> None:
    settings.FETCH_NETWORKS = [ip_network("127.0.0.1/32")]
    desk = make_desk(n=1)
    page = b"<html><script>alert(1)</script></html>"
    server.answers |= {
        "/page": body(page),
        "/bent.png": body(PICTURE[:-40]),
        "/sound.wav": body(make_wav()),
        "/moved": status(302, Location="http://169.254.169.254/latest/meta-data/"),
        "/gone": status(404),
        "/large.png": body(b"", declared=26 * 1024**2),
    }
    paths = ["/a.png", "/page", "/bent.png", "/sound.wav", "/moved", "/gone", "/large.png"]
    rows = [row(path, server.url(path)) for path in paths]
    rows.append(row("private", "http://127.0.0.2/a.png"))
    rows.append(row("kind", server.url("/sound.wav"), kind="video"))
    rows.append(row("scheme", "file:///etc/passwd"))
    job = bring(desk, *rows)
    assert job.state == "failed"
    told = reasons(job)
    wanted = {
        2: "SVG, HTML and XML are not accepted",
        3: "damaged",
        4: "audio/wav, not an image",
        5: "redirect",
        6: "the status 404",
        7: "larger than 25 MB",
        8: "not on the public internet",
        9: "audio/wav, not video",
        10: "must begin with https",
    }
    assert told.keys() == wanted.keys()
    assert all(wanted[line] in told[line] for line in wanted), told
    assert all(server.url(path) in told[line] for line, path in enumerate(paths[1:], start=2)), told
    assert told[2].startswith('Part "image": ')
    assert not Item.objects.exclude(external_id="t-1").exists()
    assert not Media.objects.exists()
    assert [path for path in media_dir.rglob("*") if path.is_file()] == []
    assert left_behind() == []


def test_good_rows_of_a_partial_import_come_in(server: FileServer, make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    job = bring(desk, row("one", server.url("/a.png")), row("two", server.url("/gone")), partial=True)
    assert (job.state, list(reasons(job))) == ("done", [2])
    assert set(Item.objects.values_list("external_id", flat=True)) == {"t-1", "one"}


def test_a_file_of_a_rejected_row_does_not_stay(server: FileServer, make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    server.answers["/b.png"] = body(make_image("PNG", (64, 64)))
    half = row("two", server.url("/b.png"), server.url("/gone"))
    assert bring(desk, row("one", server.url("/a.png")), half, partial=True).state == "done"
    [media] = Media.objects.all()
    assert (media.width, media_path(desk.project.pk, media.sha256).exists()) == (200, True)


def test_an_attempt_that_was_cut_off_asks_nobody_twice(
    server: FileServer, make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(n=1)
    for i in range(20):
        server.answers[f"/{i}.png"] = body(make_image("PNG", (20 + i, 10)))
    server.answers["/18.png"] = in_turn(status(404))
    path = upload(lines(row(f"r-{i}", server.url(f"/{i}.png")) for i in range(20)))
    job = start_import(project=desk.project, actor=desk.cast.enzo, path=path, name="rows.jsonl", partial=True)

    class Killed(BaseException):
        """What a kill looks like from inside: nothing catches it."""

    def kill(*_given: Any, **_named: Any) -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr("annotation.actions.imports._Loader.flip", kill)
        with pytest.raises(Killed):
            run_job(job.pk)
    assert sorted(server.paths()) == sorted(f"/{i}.png" for i in range(20))
    age_heartbeat(job)
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt, list(reasons(job))) == ("done", 2, [19])
    assert len(server.asked) == 20
    assert left_behind() == []


def test_how_far_it_is_can_be_seen(server: FileServer, make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    seen: list[int] = []

    def look(handler: Any) -> None:
        seen.append(Job.objects.filter(kind="import").values_list("done", flat=True).latest("pk"))
        connections.close_all()
        body(make_image("PNG", (64, 64)))(handler)

    server.answers["/look.png"] = look
    rows = [row(f"r-{i}", server.url("/a.png")) for i in range(48)]
    assert bring(desk, *rows, row("last", server.url("/look.png"))).state == "done"
    assert seen == [48]
