"""What benchmarks report is only worth something where their arithmetic is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.clients import Load
from benchmarks.measuring import (
    Check,
    CpuReading,
    Measurement,
    in_ms,
    median,
    percentile,
    read_exact_cpu,
    read_memory,
    read_tree,
)
from benchmarks.row_counts import Counts

# Spins for half a second of CPU, lets a child do the same, and then waits.
SPINNER = """
import os, sys, time
def spin():
    while time.process_time() < 0.5: pass
if not os.fork():
    spin(); os._exit(0)
spin()
os.wait()
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("q", "value"), [(1, 15), (5, 15), (30, 20), (40, 20), (50, 35), (95, 50), (100, 50)])
def test_a_percentile_is_a_value_that_occurred_by_nearest_rank(q: float, value: float) -> None:
    assert percentile([50, 15, 40, 20, 35], q) == value


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 95) is None
    assert in_ms([]) == {"n": 0}


def test_durations_are_shown_in_milliseconds() -> None:
    assert in_ms([0.001, 0.002, 0.006]) == {"n": 3, "mean": 3.0, "p50": 2.0, "p95": 6.0, "p99": 6.0, "max": 6.0}


def test_the_median_of_an_even_number_is_between_the_middle_ones() -> None:
    assert (median([3, 1, 2]), median([4, 1, 2, 3])) == (2, 2.5)


def test_cpu_counts_a_process_its_children_and_those_that_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", SPINNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"done\n"
    tree = read_tree(process.pid)
    own, ended = tree[process.pid].own, tree[process.pid].ended_children
    exact = read_exact_cpu(process.pid)
    memory = read_memory([process.pid])
    process.stdin.close()
    process.wait()
    process.stdout.close()
    assert list(tree) == [process.pid]
    assert (round(own, 1), round(ended, 1)) == (0.5, 0.5)
    assert exact == pytest.approx(own, abs=0.05)
    assert 0 < memory["anon"] <= memory["pss"] <= memory["rss"]
    assert read_tree(process.pid) == {}


def test_cpu_of_processes_that_begin_and_end_between_two_readings_is_counted_once() -> None:
    before = CpuReading(web=1.0, postgres=10.0, backends={1: 2.0, 2: 3.0})
    after = CpuReading(web=1.5, postgres=12.0, backends={2: 3.25, 3: 0.5})
    spent = after - before
    assert (spent.web, spent.backends, spent.background, spent.ended) == (0.5, 0.75, 1.25, 1)
    assert spent.per(10) == {
        "total": 125.0,
        "web": 50.0,
        "postgres": 75.0,
        "postgres_background": 125.0,
        "ended_backends": 1,
    }


@pytest.mark.parametrize(
    ("value", "sign", "holds"), [(4.0, "<=", True), (4.1, "<=", False), (4.0, ">=", True), (3.9, ">=", False)]
)
def test_a_check_compares_with_its_bound(value: float, sign: str, holds: bool) -> None:
    assert Check("figure", value, sign, 4.0).holds is holds


def test_a_figure_that_is_missing_holds_nothing() -> None:
    assert not Check("figure", None, "<=", 4.0).holds


def test_a_result_is_one_line_of_json_and_tells_whether_all_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [Check("a", 1.0, "<=", 2.0), Check("b", 1.0, ">=", 2.0)]
    assert not Measurement("m", tmp_path / "out.jsonl").finish({"x": 1}, checks)
    assert Measurement("n", tmp_path / "out.jsonl").finish({"x": 1}, checks[:1])
    printed = capsys.readouterr()
    assert printed.out == (tmp_path / "out.jsonl").read_text()
    first, second = (json.loads(line) for line in printed.out.splitlines())
    assert (first["measure"], [check["holds"] for check in first["checks"]]) == ("m", [True, False])
    assert (second["measure"], second["figures"]) == ("n", {"x": 1})
    assert "MISSED  b: 1.0 (>= 2)" in printed.err


def test_row_counts_of_several_runs_add_up() -> None:
    start = Counts({"seat": (5, 10, 0, 0), "annotation_queuelane": (0, 7, 0, 7)}, writing=3, transactions=9, wal=100)
    end = Counts({"seat": (9, 20, 2, 5), "annotation_queuelane": (0, 9, 0, 9)}, writing=7, transactions=19, wal=500)
    twice = (end - start) + (end - start)
    assert (twice.writing, twice.transactions, twice.wal) == (8, 20, 800)
    assert twice.writes_per(8) == 4.0
    assert twice.hot_share("seat") == 0.5
    assert twice.hot_share("offer") is None
    assert twice.by_table(8)["seat"] == {"inserted": 1.0, "updated": 2.5, "deleted": 0.5}


def test_parts_of_a_run_become_one_load() -> None:
    whole, part = Load(seconds=2.0), Load(labels=30, settled=10, cpu=0.5, empty=1, reconnects=2)
    part.errors["submit 500"] = 2
    whole.add(part)
    whole.add(part)
    assert (whole.labels, whole.settled, whole.rate) == (60, 20, 30.0)
    assert whole.as_json()["errors"] == {"submit 500": 4}
