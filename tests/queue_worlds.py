"""The projects that `queue_machine` plays in, in the database and as models, and what the tables hold of one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from annotation import queue
from annotation.access import Access, Caller
from annotation.actions.imports import split_of
from annotation.actions.people import create_user
from annotation.actions.projects import create_project, set_member
from annotation.models import Item, Member, Project, QueueRow, Seat, User
from tests.cast import CHOICE_SCHEMA, import_rows
from tests.queue_model import HOLDOUT, LABEL, POOL, SUBMITTED, Person, Queue, Row, Settings

OWNER, REVIEWER, JUDGE = "olga", "rita", "rolf"  # rita labels too
ROLES = {
    "alice": "annotator",
    "bob": "annotator",
    "carol": "annotator",
    REVIEWER: "reviewer",
    JUDGE: "reviewer",
    OWNER: "owner",
}
LANGUAGES = {"bob": ("de",)}
LABELLERS = ("alice", "bob", "carol", REVIEWER)
CHOICES = ("none", "spam", "insult")  # by their codes, from 1
LEASE_SECONDS = 600
MAX_HELD, SKIPS_TO_DISPUTE = 3, 2

# The lanes of a world's items, and its overlap.
ANY, HIDDEN, GERMAN, FRENCH = (POOL, ""), (HOLDOUT, ""), (POOL, "de"), (POOL, "fr")
WORLDS: dict[str, tuple[list[tuple[str, str]], int, int]] = {
    "three-once": ([ANY] * 3, 1, 1),
    "three-twice": ([ANY] * 3, 2, 2),
    "three-thrice": ([ANY] * 3, 2, 3),
    "four-twice": ([ANY] * 4, 2, 2),
    "five-streams": ([ANY] * 3 + [HIDDEN] * 2, 2, 3),
    "five-languages": ([GERMAN] + [FRENCH] * 4, 1, 2),
    "six-of-all": ([ANY] * 2 + [HIDDEN] * 2 + [FRENCH] * 2, 2, 2),
}


@dataclass(frozen=True)
class World:
    """A project that nobody has worked in yet, and the same as a model."""

    project: Project
    items: dict[str, Item]
    access: dict[str, Access]
    users: dict[str, User]
    model: Queue


def make_worlds(names: Iterable[str] = WORLDS) -> dict[str, World]:
    """Make people and projects, in the caller's transaction if there is one."""
    users = {name: create_user(username=name) for name in ROLES}
    return {name: _make_world(name, users) for name in names}


def _make_world(name: str, users: dict[str, User]) -> World:
    lanes, low, high = WORLDS[name]
    project = create_project(
        slug=name,
        name=name,
        schema=CHOICE_SCHEMA,
        settings={
            "overlap": {"min": low, "max": high},
            "max_held": MAX_HELD,
            "skips_to_dispute": SKIPS_TO_DISPUTE,
            "lease_seconds": LEASE_SECONDS,
            "learning": {"holdout_share": 0, "every": None},
        },
        owner=users[OWNER],
        seed=name.encode(),  # serving order and split are the same in every run
    )
    for person, role in ROLES.items():
        set_member(
            project=project, user=users[person], role=role, languages=LANGUAGES.get(person, ()), actor=users[OWNER]
        )
    import_rows(
        project,
        [
            {
                "external_id": f"t-{n}",
                "text": "x",
                "group": _group_in(project, stream),
                "metadata": {"language": language} if language else {},
            }
            for n, (stream, language) in enumerate(lanes, start=1)
        ],
    )
    items = {item.external_id: item for item in Item.objects.filter(project=project)}
    rows = [
        Row(LABEL, f"t-{n}", *lane, tiebreak=QueueRow.objects.get(item=items[f"t-{n}"]).tiebreak, overlap=low)
        for n, lane in enumerate(lanes, start=1)
    ]
    access = {
        person: Access(Caller(users[person]), project, Member.objects.get(project=project, user=user), role, role)
        for (person, role), user in zip(ROLES.items(), users.values(), strict=True)
    }
    people = {person: Person(LANGUAGES.get(person, ())) for person in ROLES}
    settings = Settings(low, high, MAX_HELD, SKIPS_TO_DISPUTE)
    return World(project, items, access, users, Queue(settings, people, rows, OWNER))


def _group_in(project: Project, stream: str) -> str:
    """A group whose items come into this stream."""
    wanted = {POOL: Item.Split.POOL, HOLDOUT: Item.Split.HOLDOUT}[stream]
    return next(name for name in map(str, range(1000)) if split_of(bytes(project.seed), f"group:{name}") == wanted)


def move_cursors_always() -> None:
    """Install a claim that moves cursors every time, not only after a walk that took long: what may happen, happens.

    Otherwise a small queue never has a cursor inside it, and chance (how long a walk took) would decide what is tested.
    """
    with connection.cursor() as cursor:
        for name, times in (("queue_claim", 2), ("queue_lease", 1)):
            cursor.execute("select pg_get_functiondef(%s::regproc)", [name])
            (text,) = cursor.fetchone()
            changed, n = re.subn(r"> interval '[\d.]+ m?s'", "> interval '-1 s'", text)
            assert n == times, f"{name} no longer says after how long a walk it remembers how far it came"
            cursor.execute(changed)


# What the tables hold of one project, in the words of the model.
_READ = """
select
  (select json_agg(json_build_array(q.kind, i.external_id, q.overlap, q.state, q.is_closed, q.n_submitted,
     coalesce(o.n_free, 0), i.lifecycle))
   from annotation_queuerow q join annotation_item i on i.id = q.item_id
   left join annotation_offer o on o.queue_row_id = q.id where q.project_id = %(project)s)::text,
  (select json_agg(json_build_array(s.kind, i.external_id, u.username, s.state, s.generation,
     s.state = 1 and s.expires_at < clock_timestamp(), a.key))
   from annotation_seat s join annotation_item i on i.id = s.item_id join annotation_user u on u.id = s.person_id
   left join annotation_annotation a on a.id = s.annotation_id where s.project_id = %(project)s)::text,
  (select json_agg(json_build_array(u.username, a.key, i.external_id, a.lease_generation, l.choice))
   from annotation_annotation a join annotation_item i on i.id = a.item_id join annotation_user u on u.id = a.person_id
   join annotation_label l on l.annotation_id = a.id where a.project_id = %(project)s)::text
"""
Tables = tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]


def read_tables(project: Project) -> Tables:
    """Rows by (kind, item), seats by (kind, item, person), answers by (person, key)."""
    kinds = {number: name for name, number in queue.KINDS.items()}
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"project": project.pk})
        rows, seats, answers = (json.loads(text or "[]") for text in cursor.fetchone())
    return (
        {
            (kinds[kind], item): (overlap, queue.STATES[state], is_closed, n, n_free, lifecycle == 2)
            for kind, item, overlap, state, is_closed, n, n_free, lifecycle in rows
        },
        {
            (kinds[kind], item, person): (Seat.State(state).name.lower(), generation, is_late, key)
            for kind, item, person, state, generation, is_late, key in seats
        },
        {(person, key): (item, generation, CHOICES[choice - 1]) for person, key, item, generation, choice in answers},
    )


def tables_of(model: Queue) -> Tables:
    """What the tables must hold."""
    return (
        {
            key: (row.overlap, row.state, row.is_closed, row.count(SUBMITTED), row.n_free, row.item in model.sealed)
            for key, row in model.rows.items()
        },
        {
            (row.kind, row.item, person): (seat.state, seat.generation, seat.is_late, seat.key)
            for row, person, seat in model.seats()
        },
        {key: (one.lease.item, one.lease.generation, one.body.choice) for key, one in model.answers.items()},
    )
