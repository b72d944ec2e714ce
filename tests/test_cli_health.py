"""What `/healthz` and `/readyz` say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from config import health


@pytest.fixture
def ready_checks(settings: Any, tmp_path: Path) -> Path:
    """An installation of its own where the demo projects are wanted; returns its home."""
    settings.TOUCHSTONE_HOME = tmp_path
    settings.IS_DEMO_WANTED = True
    return tmp_path


def test_health_answers_without_any_server(client: Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_readiness_names_the_part_that_is_missing(client: Client, db: None, ready_checks: Path) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert {name: checks[name] for name in ("database", "migrations", "broker", "demo")} == {
        "database": "ok",
        "migrations": "ok",
        "broker": "ok",
        "demo": "ok",
    }
    assert checks["worker"] == "No worker answers. Run touchstone worker."


@pytest.mark.slow
def test_readiness_is_given_when_a_worker_answers(client: Client, worker: object, ready_checks: Path) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.json()


def test_readiness_waits_for_the_demo_projects(ready_checks: Path) -> None:
    (ready_checks / "demo.json").write_text(json.dumps({"state": "pending", "detail": "being made"}))
    assert health.find_demo_fault() == "being made"


def test_demo_projects_that_are_not_wanted_hold_up_nothing(settings: Any, ready_checks: Path) -> None:
    (ready_checks / "demo.json").write_text(json.dumps({"state": "pending", "detail": "being made"}))
    settings.IS_DEMO_WANTED = False
    assert health.find_demo_fault() is None


def test_database_that_may_lose_an_answer_is_not_ready(db: None) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    assert "synchronous_commit" in str(health.find_database_fault())
    assert [message.id for message in health.check_durability(None, ["default"])] == ["touchstone.E001"]


def test_fault_tells_its_kind_and_no_address() -> None:
    def fail() -> str | None:
        raise ConnectionError("postgres://user:password@host/")

    assert health.run_check(fail) == "ConnectionError"


def test_answers_carry_the_strict_headers(client: Client) -> None:
    headers = client.get("/healthz").headers
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "object-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
