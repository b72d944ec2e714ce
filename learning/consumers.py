"""What learning does by itself: when items are settled, count them, start the next round, close the holdout's tap; when
items come or must go, have their words counted or what was counted of them removed.

Called by whoever reads the events, within a second or so; never by the submit itself.
"""

from __future__ import annotations

import logging

from annotation.errors import TouchstoneError
from annotation.models import Event, Job, Project
from annotation.settings import learning_settings
from learning.actions.drift import start_drift
from learning.actions.features import start_features
from learning.actions.rounds import KIND, settle_holdout_share, start_round
from learning.feature_files import has_shards
from learning.models import ModelVersion, Round
from learning.questions import default_question

CONSUMER = "learning"
RESOLVED = ("agreed", "adjudicated")
COME = ("items.imported", "item.released")
GONE = ("item.erased", "item.quarantined")

logger = logging.getLogger(__name__)


def read_events(events: list[Event]) -> None:
    """Look at the projects that the events are about."""
    read_resolutions(events)
    read_items(events)


def read_items(events: list[Event]) -> None:
    """Start the counting of words where items came into a project that learns, or left one with stored counts."""
    kinds: dict[int, set[str]] = {}
    for event in events:
        if event.project_id is not None and event.kind in (*COME, *GONE):
            kinds.setdefault(event.project_id, set()).add(event.kind)
    for project in Project.objects.filter(pk__in=kinds).select_related("schema"):
        if kinds[project.pk] & set(COME):
            compare_what_came(project)
        if has_shards(project) or (kinds[project.pk] & set(COME) and is_learning(project)):
            start_features(project=project)


def compare_what_came(project: Project) -> Job | None:
    """Have what came in compared with what taught the model, once there is one."""
    question = default_question(project)
    if project.state == Project.State.ARCHIVED or question is None:
        return None
    if not ModelVersion.objects.filter(project=project, question=question["id"], is_current=True).exists():
        return None
    return start_drift(project=project, actor=None, question=question, is_pressing=False)


def is_learning(project: Project) -> bool:
    """Whether rounds are to be expected: by themselves, or because somebody has asked for one."""
    if default_question(project) is None:
        return False
    return learning_settings(project)["every"] is not None or Round.objects.filter(project=project).exists()


def read_resolutions(events: list[Event]) -> None:
    """Look at each project in which an item was settled. A project that fails does not hold up the others."""
    settled = [event for event in events if (event.data or {}).get("state") in RESOLVED]
    concerned = {event.project_id for event in settled if event.project_id is not None}
    for project in Project.objects.filter(pk__in=concerned, state=Project.State.ACTIVE).select_related("schema"):
        settle_holdout_share(project=project)
        start_if_due(project)


def start_if_due(project: Project) -> Job | None:
    """Start a round if as many items were settled since the last one as the project says, unless one waits already."""
    every = learning_settings(project)["every"]
    if every is None or count_new(project) < every:
        return None
    if Job.objects.filter(project=project, kind=KIND, state=Job.State.QUEUED).exists():
        return None
    question = default_question(project)
    if question is None:
        return None
    try:
        return start_round(
            project=project, actor=None, trigger=Round.Trigger.RESOLUTIONS, question=question["name"], train=True
        )
    except TouchstoneError as error:
        logger.warning("no round for project %s: %s", project.pk, error.code)
        return None


def count_new(project: Project) -> int:
    """How many different items were settled since the newest round looked."""
    last = Round.objects.filter(project=project).order_by("-number").first()
    events = Event.objects.filter(project=project, data__state__in=RESOLVED, pk__gt=last.last_event_id if last else 0)
    return events.values("item_id").distinct().count()
