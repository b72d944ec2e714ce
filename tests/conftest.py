"""Fixtures for every test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.db import connection

from config.home import ROOT
from tests.cast import cast, make_desk

__all__ = ["cast", "make_desk"]

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_OPTIONS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that drives a page as a browser test."""
    for item in items:
        if "page" in getattr(item, "fixturenames", ()) or "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The path of a Chromium of this machine; the test is skipped where there is none."""
    chosen = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if chosen is None:
        pytest.skip("no Chromium found: install one (Debian: apt install chromium) or name it in CHROMIUM")
    return chosen


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium_path: str) -> dict[str, Any]:
    """How pytest-playwright starts the browser: the machine's own, and without its sandbox only as root."""
    options = [*CHROMIUM_OPTIONS, *(["--no-sandbox"] if os.getuid() == 0 else [])]
    return {"executable_path": chromium_path, "args": options, "headless": True}


@pytest.fixture
def celery_worker_process(transactional_db: None) -> Iterator[subprocess.Popen[bytes]]:
    """A real Celery worker on the test database and the test broker, in a process of its own, ready to take tasks."""
    from config.celery import app

    parameters = connection.get_connection_params()
    where = {name: parameters[name] for name in ("host", "port") if parameters.get(name)}
    who = quote(parameters["user"]) + (f":{quote(parameters['password'])}" if parameters.get("password") else "")
    url = f"postgres://{who}@/{parameters['dbname']}?{urlencode(where)}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": url,
        "BROKER_URL": settings.BROKER_URL,
        "WORKER_PROCESSES": "1",
    }
    command = [sys.executable, "-m", "config.cli", "worker"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not app.control.broadcast("ping", reply=True, timeout=0.5, limit=1):
            assert process.poll() is None, "the worker ended while it started"
            assert time.monotonic() < deadline, "the worker did not answer within 60 s"
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
