"""`touchstone pull PROJECT[@VERSION] DIR`: download a snapshot over HTTP, resume what was begun, verify every byte.

Standard library only: it runs where there is neither Django nor a database. The same checks as the snapshot's own
`verify.py`, and one more: the Merkle root must be the one that the server shows.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from learning.snapshots import verify

CHUNK = 256 * 1024
TIMEOUT_SECONDS = 60
TRIES = 5  # of one file whose connection breaks; what has arrived is kept
MAX_MANIFEST_BYTES = 64 * 1024**2
_TARGET = re.compile(r"(?P<project>[a-z0-9][a-z0-9_-]*)(?:@(?P<version>latest|\d+\.\d+\.\d+))?", re.IGNORECASE)
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class PullError(Exception):
    """A sentence that says what went wrong and what to do."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to the address that was given and to no other."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class Source:
    """The server's snapshots of one project."""

    def __init__(self, url: str, token: str, project: str) -> None:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise PullError("TOUCHSTONE_URL must be an http:// or https:// address, such as https://labels.example.org")
        self._base = f"{url.rstrip('/')}/api/v1/projects/{urllib.parse.quote(project)}/snapshots/"
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def open(self, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        """Open one address below the project's snapshots. Raises PullError for what a person has to mend."""
        url = self._base + urllib.parse.quote(path)
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._token}", **(headers or {})})  # noqa: S310 - the scheme was checked
        try:
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                raise PullError(_say_status(error, url)) from None
        except urllib.error.URLError as error:
            raise PullError(
                f"No connection to {url}: {error.reason}. Is TOUCHSTONE_URL right, and does the server run?"
            ) from None
        return answer

    def read_json(self, path: str) -> dict[str, Any]:
        """Return the object that one address answers with."""
        try:
            with self.open(path) as answer:
                value = json.loads(answer.read(MAX_MANIFEST_BYTES))
        except (ValueError, RecursionError):
            raise PullError(f"{self._base}{path} did not answer with JSON. Is TOUCHSTONE_URL right?") from None
        if not isinstance(value, dict):
            raise PullError(f"{self._base}{path} did not answer with an object. Is TOUCHSTONE_URL right?")
        return value


def _say_status(error: urllib.error.HTTPError, url: str) -> str:
    try:
        detail = str(json.loads(error.read(100_000))["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        detail = error.reason if isinstance(error.reason, str) else ""
    if error.code == 401:
        return f"The server does not accept the token in TOUCHSTONE_TOKEN (401). {detail}"
    if error.code == 403:
        return f"This token may not download snapshots of this project (403). {detail}"
    if error.code == 404:
        return f"There is no such project or version, or the token's owner may not see it (404): {url}"
    return f"The server answered {error.code} for {url}. {detail}"


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0, 1 where a byte is wrong or the server refuses, 2 for a wrong call."""
    parser = argparse.ArgumentParser(
        prog="touchstone pull",
        description="Download a snapshot over HTTP and verify it. What was begun is resumed.",
        epilog="TOUCHSTONE_URL: the address of the platform. TOUCHSTONE_TOKEN: an API token of an engineer or owner.",
    )
    parser.add_argument(
        "target", metavar="PROJECT[@VERSION]", help="such as community, community@latest, community@1.2.0"
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the files go; it is made if it is not there")
    options = parser.parse_args(list(argv))
    match = _TARGET.fullmatch(options.target)
    if match is None:
        print(f"touchstone pull: {options.target!r} is not PROJECT or PROJECT@VERSION", file=sys.stderr)
        return 2
    url, token = os.environ.get("TOUCHSTONE_URL", ""), os.environ.get("TOUCHSTONE_TOKEN", "")
    if not url or not token:
        print("touchstone pull: set TOUCHSTONE_URL and TOUCHSTONE_TOKEN", file=sys.stderr)
        return 2
    try:
        source = Source(url, token, match["project"])
        version = pull(source, match["version"] or "latest", options.folder)
    except PullError as error:
        print(f"touchstone pull: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"touchstone pull: {error.filename or options.folder}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntouchstone pull: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"{match['project']} {version} is in {options.folder}; every byte is as published.")
    return 0


def pull(source: Source, version: str, folder: Path) -> str:
    """Bring a version into `folder` and return its number. Raises PullError, naming the file where a byte is wrong."""
    shown = source.read_json(version)
    number, root = shown.get("version"), shown.get("merkle_root")
    if not isinstance(number, str) or not _VERSION.fullmatch(number) or not isinstance(root, str):
        raise PullError("The server's answer is not a published snapshot. Wait until it is published.")
    with source.open(f"{number}/files/manifest.json") as answer:
        data = answer.read(MAX_MANIFEST_BYTES)
    try:
        manifest = verify.read_manifest(data)  # refuses paths that would leave the folder
    except ValueError as error:
        raise PullError(f"manifest.json: {error}") from None
    if manifest.get("merkle_root") != root or manifest.get("version") != number:
        raise PullError("manifest.json: its version or Merkle root is not the one that the server shows")
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_other_snapshot(folder, manifest)
    for entry in manifest["files"]:
        fetch_file(source, number, entry, folder)
    _write_whole(folder / "manifest.json", data)
    faults = verify.find_faults(str(folder), root)
    if faults:
        raise PullError("; ".join(f"{name}: {fault}" for name, fault in faults))
    return number


def _refuse_other_snapshot(folder: Path, manifest: dict[str, Any]) -> None:
    """Two snapshots in one folder would be one that never was."""
    try:
        there = json.loads((folder / "manifest.json").read_bytes())
        found = (there["project"], there["version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    if found != (manifest["project"], manifest["version"]):
        raise PullError(f"{folder} holds {found[0]} {found[1]} already. Choose another folder.")


def fetch_file(source: Source, version: str, entry: dict[str, Any], folder: Path) -> None:
    """Bring one file into the folder under its name, once its bytes are right; until then it is `NAME.part`.

    A part that is there is gone on from, if the server still has the same bytes. Raises PullError, the part removed,
    where the bytes are not those of the manifest.
    """
    name, size, sha256 = entry["path"], entry["size"], entry["sha256"]
    target, part = folder / name, folder / f"{name}.part"
    if target.exists() and verify.check_file(str(target), size, sha256) is None:
        return
    begun_before = part.exists()
    with contextlib.closing(Progress(name, size, sys.stderr)) as progress:
        _fetch_all(source, version, entry, part, progress)
        fault = verify.check_file(str(part), size, sha256)
        if fault and begun_before:  # what was there from an earlier run may be what is wrong: once more, from the start
            part.unlink(missing_ok=True)
            _fetch_all(source, version, entry, part, progress)
            fault = verify.check_file(str(part), size, sha256)
    if fault:
        part.unlink(missing_ok=True)
        raise PullError(f"{name}: {fault}. It was not kept; run the command again.")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)


def _fetch_all(source: Source, version: str, entry: dict[str, Any], part: Path, progress: Progress) -> None:
    """Fetch what is missing of a file; a connection that breaks is taken up again a few times."""
    for tries_left in reversed(range(TRIES)):
        try:
            _fetch_rest(source, f"{version}/files/{entry['path']}", part, entry["size"], entry["sha256"], progress)
            return
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if not tries_left:
                raise PullError(f"{entry['path']}: the download broke off ({error}). Run the command again.") from None


def _fetch_rest(source: Source, path: str, part: Path, size: int, sha256: str, progress: Progress) -> None:
    begun = part.stat().st_size if part.exists() else 0
    if begun >= size:
        begun = 0  # nothing to go on from; if it was whole, it is checked below and was wrong or is fetched again
        if part.exists() and verify.check_file(str(part), size, sha256) is None:
            return
    headers = {"Range": f"bytes={begun}-", "If-Range": f'"{sha256}"'} if begun else {}
    with source.open(path, headers) as answer:
        is_rest = answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {begun}-")
        with part.open("ab" if is_rest else "wb") as file:
            arrived = _copy(answer, file, begun if is_rest else 0, size, progress)
    if arrived < size:
        raise http.client.IncompleteRead(b"", size - arrived)


def _copy(answer: http.client.HTTPResponse, file: BinaryIO, arrived: int, size: int, progress: Progress) -> int:
    """Copy until the answer ends or has more than it should; return how long the file is now."""
    while arrived <= size and (chunk := answer.read(CHUNK)):
        file.write(chunk)
        arrived += len(chunk)
        progress.show(arrived)
    return arrived


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class Progress:
    """One line on a terminal, rewritten in place; nothing where the stream is none."""

    def __init__(self, name: str, size: int, stream: TextIO) -> None:
        self._name, self._size, self._stream = name, size, stream
        self._is_shown, self._percent = stream.isatty(), -1

    def show(self, arrived: int) -> None:
        """Show how many bytes are there."""
        percent = 100 if not self._size else min(100, 100 * arrived // self._size)
        if self._is_shown and percent != self._percent:
            self._percent = percent
            print(f"\r{self._name}: {percent:3d} % of {self._size:,} bytes", end="", file=self._stream, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._is_shown and self._percent >= 0:
            print(file=self._stream)
