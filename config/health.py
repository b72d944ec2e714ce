"""Is the process alive (`/healthz`), and is the whole installation ready (`/readyz`)?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from django.apps.config import AppConfig
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

# What `touchstone up` writes while the demo projects are being made; absent where nothing is outstanding.
DEMO_STATE = "demo.json"

# With these settings a COMMIT that returned is on this machine's disk.
DURABLE_MODES = {"on", "remote_apply", "remote_write", "local"}


@never_cache
@require_safe
def show_health(request: HttpRequest) -> HttpResponse:
    """Answer 200 as long as this process can answer at all."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def show_readiness(request: HttpRequest) -> HttpResponse:
    """Answer 200 when every part works, else 503; either way `{"status", "checks": {name: "ok" or what is wrong}}`."""
    outcomes = {
        name: run_check(check)
        for name, check in [
            ("database", find_database_fault),
            ("migrations", find_missing_migrations),
            ("broker", find_broker_fault),
            ("worker", find_worker_fault),
            ("demo", find_demo_fault),
        ]
    }
    is_ready = all(outcome == "ok" for outcome in outcomes.values())
    body = {"status": "ok" if is_ready else "unavailable", "checks": outcomes}
    return JsonResponse(body, status=200 if is_ready else 503)


def run_check(check: Callable[[], str | None]) -> str:
    """Return "ok", or what `check` found wrong. Of an exception only its kind: its text may hold addresses."""
    try:
        return check() or "ok"
    except Exception as error:
        return type(error).__name__


def find_database_fault() -> str | None:
    """Say what is wrong with the database, or None."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        row = cursor.fetchone()
    if row is None or row[0] not in DURABLE_MODES:
        return _("synchronous_commit is off: an acknowledged answer could be lost. Switch it on.")
    return None


def find_missing_migrations() -> str | None:
    """Say that migrations are missing from the database, or None."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _("%(n)d migrations are missing. Run manage.py migrate.") % {"n": len(plan)} if plan else None


def find_broker_fault() -> str | None:
    """Say that the broker does not answer, or None."""
    from config.celery import app

    with app.connection_for_write(connect_timeout=1) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0.1, timeout=1)
        broker.default_channel.client.ping() if broker.transport.driver_type == "redis" else None
    return None


def find_worker_fault() -> str | None:
    """Say that no worker answers within two seconds, or None."""
    from config.celery import app

    answers = app.control.broadcast("ping", reply=True, timeout=2.0, limit=1)
    return None if answers else _("No worker answers. Run touchstone worker.")


def find_demo_fault() -> str | None:
    """Say what holds up the demo projects, or None where they are complete or not wanted here."""
    if not settings.IS_DEMO_WANTED:
        return None
    try:
        state = json.loads((settings.TOUCHSTONE_HOME / DEMO_STATE).read_text())
    except FileNotFoundError:
        return None
    return str(state["detail"])


def check_durability(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_kwargs: Any
) -> list[checks.CheckMessage]:
    """Django's check: refuse to migrate a database on which an acknowledged answer could be lost."""
    fault = find_database_fault() if databases else None
    return [checks.Error(fault, id="touchstone.E001")] if fault else []
