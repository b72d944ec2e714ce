"""What the reviewers' app does about events that it reads later, in batches."""

from __future__ import annotations

from collections import Counter, defaultdict

from annotation.actions.carrying import EVENT as CARRIED
from annotation.actions.carrying import KIND as CARRYING
from annotation.actions.carrying import find_target, is_carrying, start_carrying
from annotation.models import Annotation, Event, Project, QueueRow
from reviewers.actions.adjudication import erase_notes
from reviewers.actions.consensus import count_answers, start_fit
from reviewers.actions.votes import fold_votes
from reviewers.agreement.vote_counts import CONSUMER as VOTES
from reviewers.agreement.vote_counts import VOTED
from reviewers.answers import compiled_schema
from reviewers.consensus.weighing import weighed_questions

CONSUMER = "reviewers"
ITEMS_AT_ONCE = 20_000
__all__ = ["CONSUMER", "VOTES", "read_events", "read_votes"]


def read_events(events: list[Event]) -> None:
    """Erase notes on what was erased, carry over answers given under a schema that was left, and count new answers."""
    read_erasures(events)
    read_late_answers(events)
    read_new_answers(events)


def read_new_answers(events: list[Event]) -> None:
    """Start a fit in projects under the posterior rule, where one is due.

    That is once enough is new, when the rule was just made that, and when labels were carried over to other values.
    """
    n_new: Counter[int] = Counter()
    is_wanted: set[int] = set()
    for event in events:
        data = event.data or {}
        if event.project_id is None:
            continue
        if event.kind == "annotation.submitted":
            n_new[event.project_id] += 1
        elif event.kind == "annotations.imported":
            n_new[event.project_id] += int(data.get("n", 0))
        elif (event.kind == "job.finished" and data.get("kind") == CARRYING) or (
            event.kind == "project.changed" and "rule" in data.get("settings", ())
        ):
            is_wanted.add(event.project_id)
    concerned = Project.objects.filter(pk__in=n_new.keys() | is_wanted, rule__kind="posterior")
    for project in concerned.filter(state=Project.State.ACTIVE).select_related("schema"):
        if not weighed_questions(compiled_schema(project)):
            continue
        is_due = count_answers(project=project, n=n_new[project.pk])
        if (is_due or project.pk in is_wanted) and not is_carrying(project):
            start_fit(project=project, actor=None)


def read_erasures(events: list[Event]) -> None:
    """Erase the notes on items whose content was erased."""
    erased = [event.item_id for event in events if event.kind == "item.erased" and event.item_id is not None]
    if erased:
        erase_notes(item_ids=erased)


def read_late_answers(events: list[Event]) -> None:
    """Start a job for the answers under a version before the newest breaking one: their leases were pinned to it.

    Imported annotations too: an import keeps to the version that it began with.
    """
    given = [event.ref_id for event in events if event.kind == "annotation.submitted" and event.ref_id is not None]
    imported = [event for event in events if event.kind == "annotations.imported" and (event.data or {}).get("schema")]
    answers = Annotation.objects.filter(pk__in=given).values_list("project_id", "schema_id", "item_id")
    late: defaultdict[int, list[int]] = defaultdict(list)
    targets: dict[int, int | None] = {}
    for project_id, schema_id, item_id in answers:
        if project_id not in targets:
            targets[project_id] = find_target(project_id)
        target = targets[project_id]
        if target is not None and schema_id < target:
            late[project_id].append(item_id)
    for project_id, items in late.items():
        start_carrying(project=Project.objects.get(pk=project_id), actor=None, late={"items": sorted(set(items))})
    for event in imported:
        project = Project.objects.filter(pk=event.project_id or 0).first()
        target = None if project is None else find_target(project.pk)
        if project is not None and target is not None and (event.data or {})["schema"] < target:
            start_carrying(project=project, actor=None, late={"import": event.ref_id})


def read_votes(events: list[Event]) -> None:
    """Count the votes anew on every item on which an answer came, went or changed its value."""
    items: defaultdict[int, set[int]] = defaultdict(set)
    for event in events:
        if event.project_id is not None and event.kind in VOTED:
            items[event.project_id].update(_items_of(event))
    for project_id, found in sorted(items.items()):
        ids = sorted(found)
        for start in range(0, len(ids), ITEMS_AT_ONCE):
            fold_votes(project_id=project_id, item_ids=ids[start : start + ITEMS_AT_ONCE])


def _items_of(event: Event) -> list[int]:
    data = event.data or {}
    if event.kind == "annotations.imported":
        given = Annotation.objects.filter(pk__range=(data["first"], data["last"]), project=event.project_id)
        return list(given.values_list("item_id", flat=True).distinct())
    if event.kind == CARRIED:
        return list(QueueRow.objects.filter(pk__in=data["rows"]).values_list("item_id", flat=True))
    return [] if event.item_id is None else [event.item_id]
