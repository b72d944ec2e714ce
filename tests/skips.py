"""A pytest plugin: where `CI` is set, a skip that `skips.txt` does not allow fails the run."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("skips.txt")

_surplus: list[str] = []


def read_allowed_patterns(text: str) -> list[str]:
    """Return the patterns of an allow-list: the first field of every line that is neither empty nor a comment."""
    return [line.split("  ")[0].strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def find_surplus_skips(node_ids: list[str], patterns: list[str]) -> list[str]:
    """Return those of `node_ids` that match none of `patterns`."""
    return [node_id for node_id in node_ids if not any(fnmatch(node_id, pattern) for pattern in patterns)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember each skip that the allow-list does not name."""
    if report.skipped and not hasattr(report, "wasxfail"):
        patterns = read_allowed_patterns(ALLOWED.read_text())
        _surplus.extend(find_surplus_skips([report.nodeid], patterns))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a green run with a surplus skip red."""
    if os.environ.get("CI") and _surplus and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the surplus skips."""
    if os.environ.get("CI") and _surplus:
        terminalreporter.section("skipped without leave (tests/skips.txt)")
        for node_id in sorted(set(_surplus)):
            terminalreporter.write_line(node_id)
