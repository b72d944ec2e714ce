"""What an operator watches (`/metrics`), in Prometheus' text format: counts and ages, no names and no content.

Every figure is the whole installation's and is read from the database when it is asked for, so it is the same whichever
web process answers. Each is one small statement: an index's end, a partial index that holds little, what PostgreSQL
counts by itself. Nothing here grows with the number of items.

Counts tell how much is labelled and how much waits, which is no stranger's business: only a superuser may read them,
signed in or by token; a token of the one scope `metrics` opens nothing else. An address would be no proof: behind a
proxy every request comes from the proxy's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from annotation.access import Caller, caller_of
from annotation.api.exceptions import as_touchstone_error, show_error
from annotation.audit.checks import CHECKS
from annotation.audit.latest import last_audit, show_violations
from annotation.authentication import read_bearer
from annotation.errors import ForbiddenError
from reviewers.agreement.recount import last_recount
from reviewers.agreement.vote_counts import seconds_behind

SCOPE = "metrics"

# The tables that grow, or whose rows change often.
TABLES = (
    "annotation_annotation",
    "annotation_event",
    "annotation_item",
    "annotation_job",
    "annotation_label",
    "annotation_offer",
    "annotation_queuerow",
    "annotation_seat",
)


@never_cache
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """All figures; 401 or 403 to whoever is not a superuser, 503 where the database does not answer."""
    try:
        require_reader(request)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(DatabaseCollector())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except Exception as error:
        known = as_touchstone_error(error)
        if known is None:
            raise
        return show_error(known)


def require_reader(request: HttpRequest) -> None:
    """Raise NotAuthenticatedError or ForbiddenError unless the request is a superuser's."""
    token = read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))
    caller = caller_of(request) if token is None else Caller(token.user)
    scopes = None if token is None else token.scopes
    if not caller.user.is_superuser or not (scopes is None or SCOPE in scopes):
        raise ForbiddenError("Only an administrator of this installation may do this.")


class DatabaseCollector(Collector):
    """Reads the database at each scrape."""

    def describe(self) -> list[Metric]:
        """Nothing: to say more would take a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric, with what the database says now."""
        yield from _audit()
        yield from _jobs()
        yield from _events()
        yield from _agreement()
        yield from _labelling()
        yield from _database()


def _rows(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _gauge(name: str, text: str, value: float | None) -> Iterator[Metric]:
    """A single figure; left out where there is none."""
    if value is not None:
        yield GaugeMetricFamily(f"touchstone_{name}", text, value=float(value))


def _audit() -> Iterator[Metric]:
    job = last_audit()
    if job is None:
        return
    violations = GaugeMetricFamily(
        "touchstone_invariant_violations",
        "Rows that broke an invariant of the queue at the last audit.",
        labels=["invariant", "check"],
    )
    found = show_violations(job)
    for check in CHECKS:
        n = sum(one.n_rows for one in found if one.check.name == check.name)
        violations.add_metric([check.invariant, check.name], n)
    yield violations
    [(age,)] = _rows("select extract(epoch from clock_timestamp() - %s)::float8", [job.ended_at])
    yield from _gauge("audit_age_seconds", "Time since the last audit ended.", age)
    yield from _gauge("audit_duration_seconds", "How long the last audit took.", (job.result or {}).get("seconds"))


def _jobs() -> Iterator[Metric]:
    jobs = GaugeMetricFamily("touchstone_jobs", "Jobs by state, those that ended well left out.", labels=["state"])
    counted = dict.fromkeys(("queued", "running", "failed", "dead"), 0)
    counted |= dict(
        _rows(
            """
            select state, count(*) from annotation_job where state in ('queued', 'running') group by 1
            union all select state, count(*) from annotation_job where state in ('failed', 'dead') group by 1
            """
        )
    )
    for state, n in counted.items():
        jobs.add_metric([state], n)
    yield jobs
    [(wait, silence)] = _rows(
        """
        select extract(epoch from clock_timestamp() - min(run_at)
            filter (where state = 'queued' and run_at <= clock_timestamp()))::float8,
          extract(epoch from clock_timestamp() - min(heartbeat_at) filter (where state = 'running'))::float8
        from annotation_job where state in ('queued', 'running')
        """
    )
    yield from _gauge("job_oldest_due_seconds", "How long the longest due job has waited; 0: none is due.", wait or 0)
    yield from _gauge("job_longest_silence_seconds", "Since a running job's last heartbeat, at most.", silence or 0)


def _events() -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "touchstone_events_waiting", "Events that a consumer has not read, at most.", labels=["consumer"]
    )
    oldest = GaugeMetricFamily(
        "touchstone_events_oldest_waiting_seconds", "Age of the oldest of them; 0: none waits.", labels=["consumer"]
    )
    # Ids that were given and never committed count too: an exact count would read all that waits.
    for consumer, n, age in _rows(
        """
        select p.consumer, greatest(0, (select coalesce(max(id), 0) from annotation_event) - p.last_id),
          extract(epoch from clock_timestamp() - (
            select e.at from annotation_event e where e.id > p.last_id order by e.id limit 1))::float8
        from annotation_eventposition p order by p.consumer
        """
    ):
        waiting.add_metric([consumer], n)
        oldest.add_metric([consumer], age or 0)
    yield waiting
    yield oldest


def _agreement() -> Iterator[Metric]:
    yield from _gauge(
        "agreement_behind_seconds",
        "Since the first answer that agreement does not count yet; 0: it counts all.",
        seconds_behind(None),
    )
    job = last_recount()
    if job is None:
        return
    found = (job.result or {}).get("differences", [])
    for what, text in (
        ("items", "Items whose votes were counted otherwise than their labels say, at the last recount."),
        ("rows", "Sums of votes that were not so at the last recount."),
    ):
        yield from _gauge(f"agreement_wrong_{what}", text, sum(one[what] for one in found))
    [(age,)] = _rows("select extract(epoch from clock_timestamp() - %s)::float8", [job.ended_at])
    yield from _gauge("agreement_recount_age_seconds", "Time since the last recount ended.", age)


def _labelling() -> Iterator[Metric]:
    held = GaugeMetricFamily(
        "touchstone_leases_held", "Leases whose time runs, and those that ran out and nobody took.", labels=["state"]
    )
    [(running, expired)] = _rows(
        """
        select count(*) filter (where expires_at >= clock_timestamp()),
          count(*) filter (where expires_at < clock_timestamp()) from annotation_seat where state = 1
        """
    )
    held.add_metric(["running"], running)
    held.add_metric(["expired"], expired)
    yield held
    # Annotations are never deleted, so the newest id only grows; one that was rolled back leaves a gap.
    [(newest,)] = _rows("select coalesce(max(id), 0) from annotation_annotation")
    yield CounterMetricFamily(
        "touchstone_annotations", "Annotations given an id, imported ones too; use its rate.", value=float(newest)
    )


def _database() -> Iterator[Metric]:
    families = [
        GaugeMetricFamily(f"touchstone_table_{name}", text, labels=["table"])
        for name, text in (
            ("rows", "Live rows, as of the table's last vacuum or analyze."),
            ("dead_rows", "Dead rows that wait for vacuum, as PostgreSQL estimates them."),
            ("bytes", "Size on disk, with indexes."),
        )
    ]
    for table, *values in _rows(
        """
        select c.relname, nullif(c.reltuples, -1), coalesce(t.n_dead_tup, 0), pg_total_relation_size(c.oid)
        from pg_class c left join pg_stat_user_tables t on t.relid = c.oid
        where c.oid = any (select to_regclass(name)::oid from unnest(%s::text[]) as name) order by 1
        """,
        [list(TABLES)],
    ):
        for family, value in zip(families, values, strict=True):
            if value is not None:
                family.add_metric([table], value)
    yield from families
    [(size,)] = _rows("select pg_database_size(current_database())")
    yield from _gauge("database_bytes", "Size of the database on disk.", size)
    # What holds back vacuum and the readers of events.
    [(oldest,)] = _rows(
        """
        select extract(epoch from clock_timestamp() - min(xact_start))::float8 from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
        """
    )
    yield from _gauge("oldest_transaction_seconds", "Age of the oldest transaction still open; 0: none.", oldest or 0)
