"""What learning does by itself: when items are settled, count them, start the next round, close the holdout's tap; when
items come or must go, have their features made or removed, and the first batch chosen where none need be labelled.

Called by whoever reads the events, within a second or so, never by the submit itself; and by the clock, for the rounds
that a project wants by time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from annotation.actions.imports import vectors_path
from annotation.actions.jobs import find_queued
from annotation.errors import TouchstoneError
from annotation.models import Event, Import, Job, Project
from annotation.settings import learning_settings
from learning.actions.drift import start_drift
from learning.actions.embeddings import KIND as EMBEDDINGS
from learning.actions.embeddings import STORED, start_embeddings
from learning.actions.features import start_features
from learning.actions.rounds import KIND, settle_holdout_share, start_round
from learning.beginning import can_begin
from learning.features.stored import has_shards
from learning.models import ModelVersion, Round
from learning.questions import default_question

CONSUMER = "learning"
RESOLVED = ("agreed", "adjudicated")
IMPORTED = "items.imported"
COME = (IMPORTED, "item.released", STORED)
GONE = ("item.erased", "item.quarantined")

logger = logging.getLogger(__name__)


def read_events(events: list[Event]) -> None:
    """Look at the projects that the events are about."""
    read_resolutions(events)
    read_items(events)


def read_items(events: list[Event]) -> None:
    """Have features made where items came into a project that learns, removed where they left one that has any."""
    kinds: dict[int, set[str]] = {}
    for event in events:
        if event.project_id is not None and event.kind in (*COME, *GONE):
            kinds.setdefault(event.project_id, set()).add(event.kind)
    for project in Project.objects.filter(pk__in=kinds).select_related("schema"):
        if kinds[project.pk] & set(COME):
            compare_what_came(project)
        if IMPORTED in kinds[project.pk]:
            take_spooled(project, [event.ref_id for event in events if event.kind == IMPORTED])
        if has_shards(project) or (kinds[project.pk] & set(COME) and is_learning(project)):
            start_features(project=project)
        if kinds[project.pk] & {IMPORTED, STORED}:
            start_first(project)


def start_first(project: Project) -> Job | None:
    """Start the first round of a project that learns by itself, where its batch can be chosen before any label."""
    if project.state != Project.State.ACTIVE or Round.objects.filter(project=project).exists():
        return None
    return _start(project, Round.Trigger.ITEMS) if is_learning(project) and can_begin(project) else None


def compare_what_came(project: Project) -> Job | None:
    """Have what came in compared with what taught the model, once there is one."""
    question = default_question(project)
    if project.state == Project.State.ARCHIVED or question is None:
        return None
    if not ModelVersion.objects.filter(project=project, question=question["id"], is_current=True).exists():
        return None
    return start_drift(project=project, actor=None, question=question, is_pressing=False)


def take_spooled(project: Project, imports: Iterable[int | None]) -> None:
    """Start the job for vectors that came with rows of these imports; those of other projects are left alone."""
    own = Import.objects.filter(project=project, pk__in=[pk for pk in imports if pk is not None])
    for import_id in own.values_list("pk", flat=True):
        path = vectors_path(import_id)
        if path.exists() and not Job.objects.filter(kind=EMBEDDINGS, project=project, args__file=path.name).exists():
            start_embeddings(project=project, actor=None, path=path)


def is_learning(project: Project) -> bool:
    """Whether rounds are to be expected: by themselves, or because somebody has asked for one."""
    if default_question(project) is None:
        return False
    settings = learning_settings(project)
    return (
        settings["every"] is not None
        or settings["every_hours"] is not None
        or Round.objects.filter(project=project).exists()
    )


def read_resolutions(events: list[Event]) -> None:
    """Look at each project in which an item was settled. A project that fails does not hold up the others."""
    settled = [event for event in events if (event.data or {}).get("state") in RESOLVED]
    concerned = {event.project_id for event in settled if event.project_id is not None}
    for project in Project.objects.filter(pk__in=concerned, state=Project.State.ACTIVE).select_related("schema"):
        settle_holdout_share(project=project)
        start_if_due(project, timezone.now())


def start_if_due(project: Project, now: datetime) -> Job | None:
    """Start a round where the project's settings ask for one by number or by time, unless one waits already."""
    trigger = find_trigger(project, now)
    if trigger is None or find_queued(project=project, kind=KIND) is not None:
        return None
    return _start(project, trigger)


def _start(project: Project, trigger: Round.Trigger) -> Job | None:
    question = default_question(project)
    if question is None:
        return None
    try:
        return start_round(project=project, actor=None, trigger=trigger, question=question["name"], train=True)
    except TouchstoneError as error:
        logger.warning("no round for project %s: %s", project.pk, error.code)
        return None


def find_trigger(project: Project, now: datetime) -> Round.Trigger | None:
    """What asks for a round now: as many newly settled items as the project says; or the hours since the last round
    began, where anything was settled. None: nothing does."""
    settings = learning_settings(project)
    every, hours = settings["every"], settings["every_hours"]
    last = Round.objects.filter(project=project).order_by("-number").first()
    is_time = hours is not None and (last is None or last.created_at <= now - timedelta(hours=hours))
    if every is None and not is_time:
        return None
    n_new = count_new(project)
    if every is not None and n_new >= every:
        return Round.Trigger.RESOLUTIONS
    return Round.Trigger.CLOCK if is_time and n_new else None


def count_new(project: Project) -> int:
    """How many different items were settled since the newest round looked."""
    last = Round.objects.filter(project=project).order_by("-number").first()
    events = Event.objects.filter(project=project, data__state__in=RESOLVED, pk__gt=last.last_event_id if last else 0)
    return events.values("item_id").distinct().count()
