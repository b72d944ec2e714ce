"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
import shutil
from collections import Counter
from typing import Any

import pytest

from annotation import recent
from tests.cast import cast, make_desk
from tests.workers import shared_worker, worker

__all__ = ["cast", "make_desk", "shared_worker", "worker"]

MANY_TESTS = 50  # in a file; one of so many takes its 5 to 40 s without a slow test
# The build for tests first: the others open a whole window for every test, which costs three times as much.
CHROMIUM_NAMES = (
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
CHROMIUM_OPTIONS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(autouse=True)
def forget_the_last_test() -> None:
    """What a process remembers for a second would be the last test's, and the rows of that are rolled back."""
    recent.forget()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what drives a page and what asks the database; of several processes, let none end with the long files."""
    for item in items:
        if "page" in getattr(item, "fixturenames", ()) or "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
        if {"db", "transactional_db"} & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.database)
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        long |= {path for path, n in Counter(item.path for item in items).items() if n >= MANY_TESTS}
        items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """What has been imported by now stays to the end: let no search for garbage go through it time and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The path of a Chromium of this machine; the test is skipped where there is none."""
    chosen = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if chosen is None:
        pytest.skip("no Chromium found: install one (Debian: chromium-headless-shell) or name it in CHROMIUM")
    return chosen


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium_path: str) -> dict[str, Any]:
    """How pytest-playwright starts the browser: the machine's own, and without its sandbox only as root."""
    options = [*CHROMIUM_OPTIONS, *(["--no-sandbox"] if os.getuid() == 0 else [])]
    return {"executable_path": chromium_path, "args": options, "headless": True}
