"""How far projects are, and how far one person is. Read only. Simulated work is in no person's figures.

A person's numbers count answers that stand now: one taken back and given anew is one answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.models import Item, Job, Project, QueueLane, QueueRow, Seat, User

STATES = {value: value.name.lower() for value in QueueRow.State}
LABELLING = (QueueLane.Kind.LABEL, QueueLane.Kind.RELABEL)
JUST_ENDED_SECONDS = 3600

# The row of the queue on which an item stands now: its newest pass.
_COUNTS = """
    select q.project_id, i.lifecycle, q.state, count(*), coalesce(sum(q.n_submitted), 0)
    from annotation_queuerow q
    join annotation_item i on i.id = q.item_id
    join annotation_import m on m.id = i.imported_by_id and m.is_visible
    where q.project_id = any(%s) and q.kind in (1, 4) and not exists (
      select 1 from annotation_queuerow n where n.item_id = q.item_id and n.kind in (1, 4) and n.pass_no > q.pass_no)
    group by 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """Items of one project by state, and the answers that stand. `n_closed`: archived, quarantined or erased."""

    by_state: dict[str, int] = field(default_factory=dict)
    n_closed: int = 0
    n_annotations: int = 0

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
    """How far each of these projects is, in one statement; a project without items has an empty Progress."""
    found = {pk: Progress(by_state={}) for pk in project_ids}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [list(project_ids)])
        rows = cursor.fetchall()
    states: dict[int, dict[str, int]] = {pk: {} for pk in project_ids}
    closed = dict.fromkeys(project_ids, 0)
    annotations = dict.fromkeys(project_ids, 0)
    for pk, lifecycle, state, n, n_submitted in rows:
        annotations[pk] += int(n_submitted)
        if lifecycle == Item.Lifecycle.OPEN:
            name = STATES[QueueRow.State(state)]
            states[pk][name] = states[pk].get(name, 0) + n
        else:
            closed[pk] += n
    for pk in found:
        found[pk] = Progress(by_state=states[pk], n_closed=closed[pk], n_annotations=annotations[pk])
    return found


def count_disputes(project_ids: Collection[int]) -> dict[int, int]:
    """How many items of each project wait for a reviewer; projects without one are left out."""
    waiting = QueueRow.objects.filter(
        project__in=project_ids, kind=QueueLane.Kind.ADJUDICATE, is_closed=False, item__lifecycle=Item.Lifecycle.OPEN
    )
    return dict(waiting.values_list("project").annotate(n=Count("pk")).values_list("project", "n"))


def today_began() -> datetime:
    """When today began, in UTC."""
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class OwnWork:
    """What one person has done in a project; `median_seconds` is active time, None where nothing was measured."""

    n_today: int = 0
    n_total: int = 0
    median_seconds: float | None = None


def own_counts(person: User, project_ids: Collection[int]) -> dict[int, OwnWork]:
    """A person's own answers in each of these projects; projects without any are left out."""
    seats = Seat.objects.filter(project__in=project_ids, person=person, state=Seat.State.SUBMITTED, kind__in=LABELLING)
    rows = seats.values_list("project").annotate(
        n=Count("pk"), n_today=Count("pk", filter=Q(ended_at__gte=today_began()))
    )
    return {pk: OwnWork(n_today=n_today, n_total=n) for pk, n, n_today in rows.values_list("project", "n", "n_today")}


_PEOPLE = """
    select s.person_id, u.username, u.shown_name, u.kind, count(*) as n,
      count(*) filter (where s.ended_at >= %(today)s) as n_today,
      percentile_cont(0.5) within group (order by a.seconds) filter (where a.seconds is not null) as median
    from annotation_seat s
    join annotation_user u on u.id = s.person_id
    join annotation_annotation a on a.id = s.annotation_id
    where s.project_id = %(project)s and s.state = 2 and s.kind in (1, 4)
      and (%(person)s::bigint is null or s.person_id = %(person)s)
    group by 1, 2, 3, 4 order by n desc, s.person_id limit %(limit)s
"""


@dataclass(frozen=True, slots=True)
class PersonWork:
    """What one person has done in a project. `source` is human, simulated or imported."""

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
    "overlap": lambda job: _("New number of answers for waiting items"),
    "erase": lambda job: _("Erasing content"),
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
    if kind == "snapshot" and result.get("version"):
        return _("Version %(version)s is ready.") % {"version": result["version"]}
    if kind == "predictions":
        n = int(result.get("accepted", 0))
        return ngettext("%(n)d score taken.", "%(n)d scores taken.", n) % {"n": n}
    return ""


def is_any_running(jobs: Iterable[dict[str, Any]]) -> bool:
    """Whether any of the jobs to show waits or runs, so that a page asks again."""
    return any(job["state"] in RUNNING for job in jobs)
