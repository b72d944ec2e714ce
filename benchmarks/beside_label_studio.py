"""Touchstone beside label-studio: the same workload, the same machine, the same run, taking turns.

    .venv/bin/python -m benchmarks.beside_label_studio --out figures.jsonl      # about ten minutes

Drives both with the workload harness in `shared/bench` beside the checkout, which knows nothing of either but their
APIs: 20 annotators without a pause, 10,000 items brought in through each one's own import, one answer an item. Ours is
asked for one request a label (the answer brings the next item, as in the labelling page) and for two, as label-studio
is. What the harness itself can do is measured against a server that does nothing but answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import label_studio
from benchmarks.installation import Site, add_options, check_audit, open_site
from benchmarks.label_studio import Studio
from benchmarks.measuring import Check, Measurement, say
from config.home import ROOT
from tests.installation import find_free_port

HARNESS = ROOT.parent / "shared" / "bench"
N_CLIENTS = 20
TARGET = 50.0


class Harness:
    """The workload harness against one server."""

    def __init__(
        self, python: Path, adapter: str, url: str, secret: str, processes: int, pid: int | None = None
    ) -> None:
        self.python, self.adapter, self.url, self.secret = python, adapter, url, secret
        self.processes, self.pid = processes, pid

    def run(self, command: str, *options: str) -> dict[str, Any]:
        """Run one of its commands; returns its record."""
        words = [str(self.python), "bench.py", self.adapter, command, "--url", self.url, *options]
        words += ["--pid", str(self.pid)] if self.pid else []
        answer = subprocess.run(
            words,
            cwd=HARNESS,
            capture_output=True,
            text=True,
            env={**os.environ, "BENCH_SECRET": self.secret, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""},
        )
        assert answer.returncode == 0, answer.stderr[-2000:]
        record: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        return record

    def import_items(self, n: int) -> dict[str, Any]:
        """A new project with `n` items; the record names it."""
        record = self.run("import", "--rows", str(n))
        assert not record["error"], record
        return record

    def load(self, project: str, seconds: float, *, is_one_request: bool) -> dict[str, Any]:
        """Twenty annotators for so long."""
        options = ["--project", str(project), "--clients", str(N_CLIENTS), "--seconds", str(seconds)]
        options += ["--processes", str(self.processes)]
        return self.run("load", *options, *(["--option", "pipeline=1"] if is_one_request else []))


# --- A server that does nothing --------------------------------------------------------------------------------------

_LEASE = {"id": "1-1", "item": {"id": "1", "parts": [{"kind": "text", "text": "x" * 200}]}}
_PAGES = {
    "/users": {"token": "nobody"},
    "/leases": {"leases": [_LEASE], "reason": None},
    "/annotation": {"annotation": "1", "item_state": "open", "leases": [_LEASE]},
}


class _Answer(asyncio.Protocol):
    """Answers every request at once, in the shapes that the harness reads."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        place = head.lower().find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(rest) < length:
            return
        self.received = rest[length:]
        path = head.split(b" ", 2)[1].decode()
        page = next((shown for end, shown in _PAGES.items() if path.endswith(end)), {"token": "nobody"})
        body = json.dumps(page).encode()
        status = b"201 Created" if path.endswith("/annotation") else b"200 OK"
        self.transport.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
        )


def _serve_nothing(port: int) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Answer, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(serve())


def measure_ceiling(python: Path, processes: int, seconds: float) -> dict[str, float]:
    """Labels a second that the harness reaches where every answer comes at once, by one request a label and by two."""
    port = find_free_port()
    server = multiprocessing.get_context("spawn").Process(target=_serve_nothing, args=(port,), daemon=True)
    server.start()
    time.sleep(1)
    harness = Harness(python, "touchstone", f"http://127.0.0.1:{port}", "nobody", processes)
    try:
        return {
            "one_request": harness.load("nothing", seconds, is_one_request=True)["annotations_per_s"],
            "two_requests": harness.load("nothing", seconds, is_one_request=False)["annotations_per_s"],
        }
    finally:
        server.kill()
        server.join()


# --- The comparison --------------------------------------------------------------------------------------------------


def _make_administrator() -> str:
    """A superuser's API token in our installation."""
    from annotation.actions.people import create_token, create_user

    user = create_user(username="administrator", is_superuser=True)
    return create_token(user=user, actor=user)[1]


def compare(site: Site, studio: Studio, args: argparse.Namespace) -> bool:
    """Take turns, and write the result."""
    python = args.studio_venv / "bin" / "python"
    ours = Harness(
        python,
        "touchstone",
        f"http://127.0.0.1:{site.port}",
        _make_administrator(),
        args.processes,
        site.installation.process.pid,
    )
    pid = studio.process.pid if studio.process else None
    theirs = Harness(python, "label_studio", studio.url, studio.token, args.processes, pid)
    measurement = Measurement("beside label-studio", args.out)
    ceiling = measure_ceiling(python, args.processes, min(5.0, args.seconds))
    imported = theirs.import_items(args.items)
    turns: dict[str, list[dict[str, Any]]] = {"one_request": [], "two_requests": [], "label_studio": []}
    imports = []
    for turn in range(args.turns):
        for name in ("one_request", "two_requests"):
            # A new project each time: ten thousand items are gone in seconds.
            imports.append(ours.import_items(args.items))
            record = ours.load(imports[-1]["project"], args.seconds, is_one_request=name == "one_request")
            assert not record["queue_ended_for"], f"the queue ended: take fewer --seconds than {args.seconds}"
            turns[name].append(record)
        turns["label_studio"].append(theirs.load(imported["project"], args.studio_seconds, is_one_request=False))
        last = {name: records[-1]["annotations_per_s"] for name, records in turns.items()}
        say(f"turn {turn + 1}, labels a second: {last}")
    check_audit()
    rates = {name: _rate(records) for name, records in turns.items()}
    ratio = round(rates["one_request"] / rates["label_studio"], 1)
    figures = {
        "clients": N_CLIENTS,
        "harness_processes": args.processes,
        "harness_ceiling_labels_per_second": ceiling,
        "items": args.items,
        "server": site.server,
        "label_studio": {"version": label_studio.VERSION, "gunicorn_processes": studio.processes},
        "labels_per_second": rates,
        "ratio_one_request": ratio,
        "ratio_two_requests": round(rates["two_requests"] / rates["label_studio"], 1),
        "turns": {
            name: [
                {
                    key: record[key]
                    for key in (
                        "annotations_per_s",
                        "next_ms",
                        "submit_ms",
                        "errors",
                        "surplus_annotations",
                        "rss_idle_mb",
                        *sorted(key for key in record if key.startswith(("peak", "pss"))),
                    )
                    if key in record
                }
                for record in records
            ]
            for name, records in turns.items()
        },
        "import_rows_per_second": {
            "ours": [record["rows_per_s"] for record in imports],
            "label_studio": imported["rows_per_s"],
        },
    }
    own = [*turns["one_request"], *turns["two_requests"]]
    return measurement.finish(
        figures,
        [
            Check("labels a second beside label-studio, one request a label", ratio, ">=", TARGET),
            Check("labels beyond the overlap, ours", sum(r["surplus_annotations"] for r in own), "<=", 0),
            Check("errors, ours", sum(r["errors"] for r in own), "<=", 0),
        ],
    )


def _rate(records: Sequence[dict[str, Any]]) -> float:
    labels = sum(int(record["annotations"]) for record in records)
    return round(labels / sum(float(record["seconds"]) for record in records), 2)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each of our turns")
    parser.add_argument("--studio-seconds", type=float, default=60.0, help="of each of label-studio's turns")
    parser.add_argument("--studio-processes", type=int, default=8, help="of gunicorn")
    parser.add_argument("--processes", type=int, default=3, help="of the harness")
    parser.add_argument("--studio-venv", type=Path, default=label_studio.get_default_venv())
    args = parser.parse_args(argv)
    if not (HARNESS / "bench.py").exists():
        say(f"The workload harness is not here ({HARNESS}), so nothing was measured.")
        return 0
    label_studio.install(args.studio_venv)
    with open_site(args) as site:
        studio = Studio(Path(tempfile.mkdtemp(prefix="label-studio-")), args.studio_venv, args.studio_processes)
        try:
            holds = compare(site, studio, args)
        finally:
            studio.end()
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
