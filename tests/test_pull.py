"""`touchstone pull`: it needs nothing but Python, goes on where it stopped, and names the file with a wrong byte."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from annotation.actions.people import create_token
from config.home import ROOT
from learning import pull
from learning.models import Snapshot
from learning.snapshots.canonical import to_document
from learning.snapshots.documents import MEDIA_TYPES, seal
from learning.snapshots.files import published_folder
from tests.cast import MakeDesk
from tests.test_snapshots import flip_bit, publish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def snapshot(make_desk: MakeDesk, tmp_path: Path, settings: Any) -> Snapshot:
    """A published snapshot of 40 items in the project forum."""
    settings.SNAPSHOT_DIR = tmp_path / "snapshots"
    answered = [{"annotator": "ann", "answers": {"verdict": "spam"}}]
    rows = [{"external_id": f"t-{i}", "text": f"text number {i}", "annotations": answered} for i in range(40)]
    return publish(make_desk(rows=rows))


@pytest.fixture
def server(live_server: Any, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> str:
    """A running server, and the environment that `pull` needs for it."""
    assert snapshot.created_by is not None
    _token, raw = create_token(user=snapshot.created_by, actor=snapshot.created_by)
    monkeypatch.setenv("TOUCHSTONE_URL", live_server.url)
    monkeypatch.setenv("TOUCHSTONE_TOKEN", raw)
    return str(live_server.url)


def fetched(snapshot: Snapshot, folder: Path) -> bool:
    """Whether the folder holds the published files and nothing else."""
    names = {path.name for path in folder.iterdir()}
    source = published_folder(snapshot)
    return names == set(MEDIA_TYPES) and all((folder / n).read_bytes() == (source / n).read_bytes() for n in names)


@pytest.mark.parametrize("target", ["forum", "forum@latest", "forum@1.0.0"])
def test_a_snapshot_arrives_whole(
    server: str, snapshot: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    assert pull.main([target, str(tmp_path / "here" / "there")]) == 0
    assert fetched(snapshot, tmp_path / "here" / "there")
    told = capsys.readouterr()
    assert told.out.startswith("forum 1.0.0 is in ")
    assert told.err == ""


def test_it_runs_without_django_settings_database_or_site_packages(
    server: str, snapshot: Snapshot, tmp_path: Path
) -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); from learning.pull import main; code = main(sys.argv[2:])\n"
    script += "sys.exit(code or any(name.split('.')[0] in ('django', 'pyarrow', 'psycopg') for name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(ROOT), "forum", str(tmp_path / "out")],
        env={name: os.environ[name] for name in ("TOUCHSTONE_URL", "TOUCHSTONE_TOKEN")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert fetched(snapshot, tmp_path / "out")


def test_a_second_run_fetches_only_the_manifest(
    server: str, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pull.main(["forum", str(tmp_path / "out")]) == 0
    asked: list[str] = []
    real = pull.Source.open

    def note(self: pull.Source, path: str, headers: dict[str, str] | None = None) -> Any:
        asked.append(path)
        return real(self, path, headers)

    monkeypatch.setattr(pull.Source, "open", note)
    assert pull.main(["forum", str(tmp_path / "out")]) == 0
    assert asked == ["latest", "1.0.0/files/manifest.json"]


def test_a_part_is_gone_on_from(
    server: str, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "items.parquet.part").write_bytes((published_folder(snapshot) / "items.parquet").read_bytes()[:1000])
    ranges: dict[str, str | None] = {}
    real = pull.Source.open

    def note(self: pull.Source, path: str, headers: dict[str, str] | None = None) -> Any:
        ranges[path.rpartition("/")[2]] = (headers or {}).get("Range")
        return real(self, path, headers)

    monkeypatch.setattr(pull.Source, "open", note)
    assert pull.main(["forum", str(out)]) == 0
    assert (ranges["items.parquet"], ranges["labels.parquet"]) == ("bytes=1000-", None)
    assert fetched(snapshot, out)


def test_a_part_of_other_bytes_is_fetched_anew(server: str, snapshot: Snapshot, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "items.parquet.part").write_bytes(b"x" * 100)
    (out / "card.md").write_text("an older card")
    assert pull.main(["forum", str(out)]) == 0
    assert fetched(snapshot, out)


@pytest.mark.parametrize("name", sorted(MEDIA_TYPES))
def test_a_wrong_byte_on_the_server_is_found_and_its_file_named(
    server: str, snapshot: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    flip_bit(published_folder(snapshot) / name, 300)
    assert pull.main(["forum", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith(f"touchstone pull: {name}: ")
    assert not (tmp_path / "out" / name).exists()


def test_a_wrong_byte_on_the_disk_is_mended(server: str, snapshot: Snapshot, tmp_path: Path) -> None:
    assert pull.main(["forum", str(tmp_path / "out")]) == 0
    flip_bit(tmp_path / "out" / "labels.jsonl", 99)
    assert pull.main(["forum", str(tmp_path / "out")]) == 0
    assert fetched(snapshot, tmp_path / "out")


def test_another_snapshot_is_not_mixed_in(
    server: str, snapshot: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text('{"project": "forum", "version": "0.9.0"}')
    assert pull.main(["forum", str(out)]) == 1
    assert "holds forum 0.9.0 already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "token", "sentence"),
    [
        ("forum", "ts_wrong", "does not accept the token"),
        ("forum@7.0.0", None, "There is no such project or version"),
        ("nothing", None, "There is no such project or version"),
    ],
)
def test_what_the_server_refuses_is_said_in_a_sentence(
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
    token: str | None,
    sentence: str,
) -> None:
    monkeypatch.setenv("TOUCHSTONE_TOKEN", token or os.environ["TOUCHSTONE_TOKEN"])
    assert pull.main([target, str(tmp_path / "out")]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "token", "target", "status", "sentence"),
    [
        ("http://127.0.0.1:9", "t", "forum", 1, "No connection to http://127.0.0.1:9"),
        ("file:///etc", "t", "forum", 1, "must be an http:// or https:// address"),
        ("", "t", "forum", 2, "set TOUCHSTONE_URL and TOUCHSTONE_TOKEN"),
        ("http://127.0.0.1:9", "", "forum", 2, "set TOUCHSTONE_URL and TOUCHSTONE_TOKEN"),
        ("http://127.0.0.1:9", "t", "../forum", 2, "is not PROJECT or PROJECT@VERSION"),
        ("http://127.0.0.1:9", "t", "forum@1", 2, "is not PROJECT or PROJECT@VERSION"),
    ],
)
def test_a_wrong_call_is_said_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
    token: str,
    target: str,
    status: int,
    sentence: str,
) -> None:
    monkeypatch.setenv("TOUCHSTONE_URL", url)
    monkeypatch.setenv("TOUCHSTONE_TOKEN", token)
    assert pull.main([target, str(tmp_path / "out")]) == status
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# A server that is not ours: it breaks off, lies, or sends one elsewhere


class Hostile(http.server.BaseHTTPRequestHandler):
    """Serves a folder as a snapshot; `cut` breaks off each first answer of a file after so many bytes."""

    folder: Path
    cut: int | None = None
    latest: bytes | None = None
    redirect: str | None = None

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        manifest = (self.folder / "manifest.json").read_bytes()
        content = (self.latest or manifest) if name == "latest" else (self.folder / name).read_bytes()
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(302 if self.redirect else 206 if begin else 200)
        if self.redirect:
            self.send_header("Location", self.redirect)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        is_cut = self.cut is not None and name in MEDIA_TYPES and name != "manifest.json"
        self.wfile.write(content[begin : begin + (self.cut or 0)] if is_cut else content[begin:])
        self.close_connection = True


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], type[Hostile]]]:
    """Serve a folder over HTTP; returns the handler, whose attributes say how badly."""
    servers: list[tuple[http.server.ThreadingHTTPServer, threading.Thread]] = []

    def start(folder: Path) -> type[Hostile]:
        handler = type("Handler", (Hostile,), {"folder": folder})
        one = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        servers.append((one, thread))
        monkeypatch.setenv("TOUCHSTONE_URL", f"http://127.0.0.1:{one.server_address[1]}")
        monkeypatch.setenv("TOUCHSTONE_TOKEN", "t")
        return handler

    yield start
    for one, thread in servers:
        one.shutdown()
        thread.join()
        one.server_close()


def test_a_connection_that_breaks_is_taken_up_again(
    snapshot: Snapshot, tmp_path: Path, serve: Callable[[Path], type[Hostile]]
) -> None:
    largest = max(path.stat().st_size for path in published_folder(snapshot).iterdir())
    serve(published_folder(snapshot)).cut = largest // 3 + 1
    assert pull.main(["forum", str(tmp_path / "out")]) == 0
    assert fetched(snapshot, tmp_path / "out")


def test_a_download_that_never_ends_well_says_so_and_keeps_what_came(
    snapshot: Snapshot, tmp_path: Path, serve: Callable[[Path], type[Hostile]], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(published_folder(snapshot)).cut = 10
    assert pull.main(["forum", str(tmp_path / "out")]) == 1
    assert "the download broke off" in capsys.readouterr().err
    assert [path.stat().st_size for path in (tmp_path / "out").glob("*.part")] == [50]


@pytest.mark.parametrize("path", ["../escaped", "/tmp/escaped", "sub/escaped"])
def test_a_path_that_leaves_the_folder_is_refused(
    snapshot: Snapshot,
    tmp_path: Path,
    serve: Callable[[Path], type[Hostile]],
    capsys: pytest.CaptureFixture[str],
    path: str,
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(published_folder(snapshot), copy)
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"][0]["path"] = path
    (copy / "manifest.json").write_bytes(to_document(seal(manifest)))
    serve(copy)
    assert pull.main(["forum", str(tmp_path / "out")]) == 1
    assert "outside the folder" in capsys.readouterr().err
    assert not list(tmp_path.glob("**/escaped*"))


def test_files_changed_together_with_their_manifest_do_not_fit_the_root_that_is_shown(
    snapshot: Snapshot, tmp_path: Path, serve: Callable[[Path], type[Hostile]], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = json.dumps({"version": "1.0.0", "merkle_root": "0" * 64}).encode()
    serve(published_folder(snapshot)).latest = shown
    assert pull.main(["forum", str(tmp_path / "out")]) == 1
    assert "manifest.json: its version or Merkle root is not the one that the server shows" in capsys.readouterr().err


def test_the_token_is_not_sent_to_another_address(
    snapshot: Snapshot, tmp_path: Path, serve: Callable[[Path], type[Hostile]], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(published_folder(snapshot)).redirect = "http://127.0.0.1:9/elsewhere"
    assert pull.main(["forum", str(tmp_path / "out")]) == 1
    assert "answered 302" in capsys.readouterr().err
