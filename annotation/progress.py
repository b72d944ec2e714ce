"""How far projects are, and how far one person is. Read only. Simulated work is in no person's figures.

A person's numbers count answers that stand now: one taken back and given anew is one answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, TypeVar

from django.core.cache import cache
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.models import Item, Job, Project, QueueRow, User

Figure = TypeVar("Figure")
STATES = {value: value.name.lower() for value in QueueRow.State}
JUST_ENDED_SECONDS = 3600

# Counting a million items takes a tenth of a second, of ten million one; other figures of a whole project take longer.
# Of a large project such a figure is kept for a minute, or a hundred times as long as it took, by each process of the
# web server: so it is waited for now and then, and takes a hundredth of the server's time at most.
LARGE = 50_000  # items
KEPT_SECONDS, KEPT_TIMES = 60, 100
NEWEST = 200  # a person's answers that their pace is measured by

# One pass over the first rows of all items, without a look at the items; then what few items put right: those that are
# put away, and those that stand on a later row (their newest pass). Items have rows of the queue from the moment on at
# which their import is visible.
_COUNTS = """
    with away as (
      select i.id, i.project_id, i.lifecycle from annotation_item i
      where i.project_id = any(%(projects)s) and i.lifecycle > 0),
    again as (
      select distinct q.item_id as id, q.project_id from annotation_queuerow q
      where q.project_id = any(%(projects)s) and q.kind = 4),
    newest as (
      select i.id, q.state, q.n_submitted from (select id from away union select id from again) i
      cross join lateral (select w.state, w.n_submitted from annotation_queuerow w
        where w.item_id = i.id and w.kind in (1, 4) order by w.pass_no desc limit 1) q)
    select q.project_id, 0 as lifecycle, q.state, count(*), coalesce(sum(q.n_submitted), 0)
      from annotation_queuerow q where q.project_id = any(%(projects)s) and q.kind = 1 group by 1, 3
    union all
    select q.project_id, 0, q.state, -count(*), -coalesce(sum(q.n_submitted), 0)
      from again a join annotation_queuerow q on q.item_id = a.id and q.kind = 1 group by 1, 3
    union all
    select a.project_id, 0, n.state, count(*), coalesce(sum(n.n_submitted), 0)
      from again a join newest n on n.id = a.id group by 1, 3
    union all
    select a.project_id, 0, n.state, -count(*), 0 from away a join newest n on n.id = a.id group by 1, 3
    union all
    select a.project_id, a.lifecycle, n.state, count(*), 0 from away a join newest n on n.id = a.id group by 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """Items of one project by state, and the answers that stand. `n_closed`: archived, quarantined or erased.

    `counted_at`: when, in a large project; None: now.
    """

    by_state: dict[str, int] = field(default_factory=dict)
    n_closed: int = 0
    n_annotations: int = 0
    counted_at: datetime | None = None

    @property
    def n_items(self) -> int:
        """All items that can be listed."""
        return sum(self.by_state.values()) + self.n_closed

    @property
    def n_resolved(self) -> int:
        """Items that are agreed or decided."""
        return self.by_state.get("agreed", 0) + self.by_state.get("adjudicated", 0)

    @property
    def portions(self) -> list[dict[str, Any]]:
        """The states in the order of a bar, for `charts.progress_bar`."""
        words = {
            "agreed": _("agreed"),
            "adjudicated": _("decided"),
            "disputed": _("disputed"),
            "open": _("open"),
        }
        return [{"label": told, "kind": kind, "n": self.by_state.get(kind, 0)} for kind, told in words.items()]


def project_progress(project_ids: Collection[int]) -> dict[int, Progress]:
    """How far each of these projects is; a project without items has an empty Progress.

    A large one's may be minutes old. One statement for all that are counted now.
    """
    known = cache.get_many([_key(pk) for pk in project_ids])
    started = monotonic()
    counted = _count([pk for pk in project_ids if _key(pk) not in known])
    for pk, progress in counted.items():
        if progress.n_items >= LARGE:
            _keep(_key(pk), replace(progress, counted_at=timezone.now()), monotonic() - started)
    return {pk: known.get(_key(pk)) or counted[pk] for pk in project_ids}


def keep_if_large(project_id: int, name: str, compute: Callable[[], Figure]) -> Figure:
    """A figure of a whole project, for a page: computed now, or minutes ago in a project that was found to be large."""
    if cache.get(_key(project_id)) is None:
        return compute()
    key = _key(project_id, name)
    found: tuple[Figure] | None = cache.get(key)
    if found is None:
        started = monotonic()
        found = (compute(),)
        _keep(key, found, monotonic() - started)
    return found[0]


def _key(project_id: int, name: str = "counts") -> str:
    return f"progress:{project_id}:{name}"


def _keep(key: str, figure: Any, took: float) -> None:
    cache.set(key, figure, max(KEPT_SECONDS, KEPT_TIMES * took))


def _count(project_ids: Collection[int]) -> dict[int, Progress]:
    if not project_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"projects": list(project_ids)})
        rows = cursor.fetchall()
    states: dict[int, Counter[str]] = {pk: Counter() for pk in project_ids}
    closed: Counter[int] = Counter()
    annotations: Counter[int] = Counter()
    for pk, lifecycle, state, n, n_submitted in rows:
        annotations[pk] += int(n_submitted)
        if lifecycle == Item.Lifecycle.OPEN:
            states[pk][STATES[QueueRow.State(state)]] += n
        else:
            closed[pk] += n
    return {
        pk: Progress(
            by_state={name: n for name, n in states[pk].items() if n},
            n_closed=closed[pk],
            n_annotations=annotations[pk],
        )
        for pk in project_ids
    }


# Those that nobody decides just now have a free place; the others have a seat that is held.
_DISPUTES = """
    select l.project_id, count(*) from annotation_queuelane l join annotation_offer o on o.lane_id = l.id
      where l.project_id = any(%(projects)s) and l.kind = 2 group by 1
    union all
    select l.project_id, count(*) from annotation_queuelane l join annotation_seat s on s.lane_id = l.id and s.state = 1
      where l.project_id = any(%(projects)s) and l.kind = 2
        and not (select q.is_closed from annotation_queuerow q where q.id = s.queue_row_id) group by 1
"""


def count_disputes(project_ids: Collection[int]) -> dict[int, int]:
    """How many items of each project wait for a reviewer; projects without one are left out."""
    waiting: Counter[int] = Counter()
    with connection.cursor() as cursor:
        cursor.execute(_DISPUTES, {"projects": list(project_ids)})
        for pk, n in cursor.fetchall():
            waiting[pk] += n
    return dict(waiting)


def today_began() -> datetime:
    """When today began, in UTC."""
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class OwnWork:
    """What one person has done in a project; `median_seconds` is active time, None where nothing was measured."""

    n_today: int = 0
    n_total: int = 0
    median_seconds: float | None = None


# Answers that stand, counted along an index; those of today by the annotations of today.
_SUBMITTED = "annotation_seat s where s.state = 2 and s.kind in (1, 4)"
_TODAY = """(select count(*) from annotation_annotation a
    join annotation_seat s on s.id = a.seat_id and s.annotation_id = a.id and s.state = 2
    where a.project_id = c.project_id and a.person_id = c.person_id and a.created_at >= %(today)s)"""
_OWN = f"""
    select c.project_id, c.n, {_TODAY} from (select s.project_id, s.person_id, count(*) as n from {_SUBMITTED}
      and s.project_id = any(%(projects)s) and s.person_id = %(person)s group by 1, 2) c
"""  # noqa: S608


def own_counts(person: User, project_ids: Collection[int]) -> dict[int, OwnWork]:
    """A person's own answers in each of these projects; projects without any are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_OWN, {"projects": list(project_ids), "person": person.pk, "today": today_began()})
        return {pk: OwnWork(n_today=n_today, n_total=n) for pk, n, n_today in cursor.fetchall()}


_PEOPLE = f"""
    with c as materialized (
      select s.project_id, s.person_id, count(*) as n from {_SUBMITTED} and s.project_id = %(project)s
        and (%(person)s::bigint is null or s.person_id = %(person)s)
      group by 1, 2 order by n desc, 2 limit %(limit)s)
    select c.person_id, u.username, u.shown_name, u.kind, c.n, {_TODAY},
      (select percentile_cont(0.5) within group (order by x.seconds) from (
        select case when s.annotation_id = a.id then a.seconds end as seconds
        from annotation_annotation a join annotation_seat s on s.id = a.seat_id
        where a.project_id = c.project_id and a.person_id = c.person_id
        order by a.created_at desc limit %(newest)s) x)
    from c join annotation_user u on u.id = c.person_id order by c.n desc, c.person_id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class PersonWork:
    """What one person has done in a project. `source` is human, simulated or imported.

    `median_seconds`: of the newest 200 answers, active time; None where nothing was measured.
    """

    person_id: int
    name: str
    source: str
    n_today: int
    n_total: int
    median_seconds: float | None


def work_by_person(project: Project, person: User | None = None, limit: int = 100) -> list[PersonWork]:
    """Who has answered how much, most first; with `person`, that one alone (an empty list: nothing yet)."""
    params: dict[str, Any] = {
        "today": today_began(),
        "project": project.pk,
        "person": person.pk if person else None,
        "limit": limit,
        "newest": NEWEST,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, params)
        rows = cursor.fetchall()
    return [
        PersonWork(
            person_id=pk,
            name=shown or username,
            source="human" if kind == User.Kind.PERSON else kind,
            n_today=n_today,
            n_total=n,
            median_seconds=median,
        )
        for pk, username, shown, kind, n, n_today, median in rows
    ]


JOB_WORDS = {
    "import": lambda job: _("Import of %(name)s") % {"name": job.args["name"]} if job.args.get("name") else _("Import"),
    "snapshot": lambda job: _("Snapshot"),
    "snapshot.withdraw": lambda job: _("Taking erased content out of snapshots"),
    "round": lambda job: _("Learning round"),
    "predictions": lambda job: _("Predictions"),
    "llm": lambda job: _("Asking a language model"),
    "embeddings": lambda job: _("Embeddings"),
    "comparison": lambda job: _("Comparing models on the holdout"),
    "promotion": lambda job: _("Putting a kept model in the place of the current one"),
    "overlap": lambda job: _("New number of answers for waiting items"),
    "rule": lambda job: _("Bringing the changed rule to the items"),
    "consensus": lambda job: _("Finding out how good the annotators are"),
    "drift": lambda job: _("Comparison of what came in with what taught the model"),
    "label_errors": lambda job: _("Search for labels that may be wrong"),
    "features": lambda job: _("Getting new items ready for the models"),
    "erase": lambda job: _("Erasing content"),
    "schema": lambda job: _("Carrying labels over to the new questions"),
    "agreement.strata": lambda job: _("Counting where people agree and where not"),
}
RUNNING = (Job.State.QUEUED, Job.State.RUNNING)


def jobs_to_show(
    project: Project, kinds: Iterable[str] | None = None, *, with_done: bool = True, limit: int = 5
) -> list[dict[str, Any]]:
    """The jobs that wait, run, or ended within the hour, newest first, as `annotation/_jobs.html` takes them.

    `with_done` False leaves out those that ended well. An older job of a kind is left out where a newer one has ended.
    """
    since = timezone.now() - timedelta(seconds=JUST_ENDED_SECONDS)
    wanted = Job.objects.filter(project=project).filter(Q(state__in=RUNNING) | Q(ended_at__gte=since))
    if kinds is not None:
        wanted = wanted.filter(kind__in=list(kinds))
    shown: list[dict[str, Any]] = []
    ended: set[str] = set()
    for job in wanted.order_by("-pk")[:50]:
        is_running = job.state in RUNNING
        is_old = not is_running and job.kind in ended
        if not is_running:
            ended.add(job.kind)
        if is_old or (job.state == Job.State.DONE and not with_done):
            continue
        shown.append(show_job_for_people(job))
    return shown[:limit]


def show_job_for_people(job: Job) -> dict[str, Any]:
    """One job in words."""
    result = job.result if isinstance(job.result, dict) else {}
    told = JOB_WORDS.get(job.kind)
    return {
        "id": str(job.pk),
        "kind": told(job) if told else job.kind,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "error": job.error,
        "rejected": result.get("errors") or [],
        "summary": _told_result(job.kind, result) if job.state == Job.State.DONE else "",
    }


def _told_result(kind: str, result: dict[str, Any]) -> str:
    if kind == "import":
        return _("%(imported)s new, %(unchanged)s as before, %(rejected)s rejected.") % {
            "imported": result.get("imported", 0),
            "unchanged": result.get("unchanged", 0),
            "rejected": result.get("rejected", 0),
        }
    if kind == "llm":
        told = _("%(answered)s items answered, %(failed)s without an answer that could be used.") % {
            "answered": result.get("n_answered", 0),
            "failed": result.get("n_failed", 0),
        }
        return f"{told} {result.get('note', '')}".strip()
    if kind == "snapshot" and result.get("version"):
        return _("Version %(version)s is ready.") % {"version": result["version"]}
    if kind == "schema":
        return _(
            "%(carried)s answers carried to new values, %(asked_again)s asked again, which opened %(reopened)s items;"
            " %(decisions)s decisions asked again."
        ) % {name: result.get(name, 0) for name in ("carried", "asked_again", "reopened", "decisions")}
    if kind in ("rule", "consensus"):
        n = int(result.get("changed", 0))
        return ngettext("%(n)d item has another state now.", "%(n)d items have another state now.", n) % {"n": n}
    if kind == "label_errors":
        n = int(result.get("n_doubted", 0))
        return ngettext("%(n)d label is doubted.", "%(n)d labels are doubted.", n) % {"n": n}
    if kind == "drift":
        n = len(result.get("batches", ()))
        return ngettext("%(n)d batch is compared.", "%(n)d batches are compared.", n) % {"n": n}
    if kind == "features":
        n = int(result.get("items", 0))
        return ngettext("%(n)d item is ready.", "%(n)d items are ready.", n) % {"n": n}
    if kind == "embeddings":
        n = int(result.get("accepted", 0))
        return ngettext("%(n)d vector taken.", "%(n)d vectors taken.", n) % {"n": n}
    if kind == "predictions":
        n = int(result.get("accepted", 0))
        return ngettext("%(n)d score taken.", "%(n)d scores taken.", n) % {"n": n}
    return ""


def is_any_running(jobs: Iterable[dict[str, Any]]) -> bool:
    """Whether any of the jobs to show waits or runs, so that a page asks again."""
    return any(job["state"] in RUNNING for job in jobs)
