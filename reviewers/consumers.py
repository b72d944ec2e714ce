"""What the reviewers' app does about events that it reads later, in batches."""

from __future__ import annotations

from collections import Counter, defaultdict

from annotation.actions.carrying import EVENT as CARRIED
from annotation.actions.carrying import find_target, is_carrying, start_carrying
from annotation.models import Annotation, Event, Project
from reviewers.actions import erase_notes
from reviewers.actions.consensus import count_answers, start_fit

CONSUMER = "reviewers"


def read_events(events: list[Event]) -> None:
    """Erase notes on what was erased, carry over answers given under a schema that was left, and count new answers."""
    read_erasures(events)
    read_late_answers(events)
    read_new_answers(events)


def read_new_answers(events: list[Event]) -> None:
    """Start a fit in projects under the posterior rule, once enough is new or the rule was just made that."""
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
        elif event.kind == CARRIED or (event.kind == "project.changed" and "rule" in data.get("settings", ())):
            is_wanted.add(event.project_id)
    concerned = Project.objects.filter(pk__in=n_new.keys() | is_wanted, rule__kind="posterior")
    for project in concerned.filter(state=Project.State.ACTIVE):
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
