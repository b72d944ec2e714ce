"""The cast: alice, bob and carol annotate, rita reviews, enzo is the engineer, olga owns, mallory is no member."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.db.models.signals import post_migrate

from annotation import queue
from annotation.access import Access, Caller, access_to
from annotation.actions import projects
from annotation.actions.answers import answer_lease
from annotation.actions.imports import Outcome, load_items
from annotation.actions.items import set_holdout_share
from annotation.importing.rows import parse_row
from annotation.models import Item, Member, Offer, Organisation, Project, QueueLane, QueueRow, Seat, User

PASSWORD = "correct horse battery staple"
ROLES = {
    "alice": "annotator",
    "bob": "annotator",
    "carol": "annotator",
    "rita": "reviewer",
    "enzo": "engineer",
    "olga": "owner",
}
CHOICE_SCHEMA: dict[str, Any] = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "text": "Which policy does it break?",
            "required": True,
            "choices": [{"value": "none", "key": "1"}, {"value": "spam", "key": "2"}, {"value": "insult", "key": "3"}],
        }
    ]
}


@dataclass
class Cast:
    """The people, by name."""

    alice: User
    bob: User
    carol: User
    rita: User
    enzo: User
    olga: User
    mallory: User

    def __getitem__(self, name: str) -> User:
        user: User = getattr(self, name)
        return user


@dataclass
class Desk:
    """A project with everybody in it, worked on through the same calls that people's requests make."""

    project: Project
    cast: Cast

    def access(self, name: str) -> Access:
        access = access_to(
            Caller(self.cast[name]), Project.objects.select_related("schema", "guideline").get(pk=self.project.pk)
        )
        assert access is not None
        return access

    def lease(self, name: str, n: int = 1, kind: str = "label", seed: int = 1) -> queue.Leases:
        access = self.access(name)
        return queue.lease(
            project_id=self.project.pk,
            person_id=access.user.pk,
            kind=kind,
            n=n,
            languages=access.languages,
            rng=Random(seed),
        )

    def lease_one(self, name: str, kind: str = "label") -> dict[str, Any]:
        """One lease; a test that calls this expects that there is one."""
        leases = self.lease(name, 1, kind)
        assert leases.leases, f"{name} was offered nothing: {leases.reason}"
        return leases.leases[0]

    def submit(
        self,
        name: str,
        raw: Mapping[str, Any],
        verdict: str | Mapping[str, Any] = "none",
        key: str | None = None,
        **body: Any,
    ) -> queue.Submission:
        """Answer a raw lease. `verdict` is the answer to the one question, or all answers."""
        answers = dict(verdict) if isinstance(verdict, Mapping) else {"verdict": verdict}
        person_id = self.cast[name].pk
        stamp = queue.find_stamp(seat_id=raw["seat"], generation=raw["generation"], person_id=person_id)
        return answer_lease(
            access=self.access(name),
            stamp=stamp,
            generation=raw["generation"],
            key=key or f"{raw['seat']}-{raw['generation']}",
            body={"answers": answers, **body},
            rng=Random(1),
        )

    def label(self, name: str, verdict: str | Mapping[str, Any] = "none") -> queue.Submission:
        """Lease the next item and answer it."""
        return self.submit(name, self.lease_one(name), verdict)

    def item(self, external_id: str) -> Item:
        return Item.objects.get(project=self.project, external_id=external_id)

    def row(self, external_id: str, kind: int = 1) -> QueueRow:
        return QueueRow.objects.get(item__project=self.project, item__external_id=external_id, kind=kind)

    def relabel(self, external_id: str, overlap: int) -> QueueRow:
        """Open a second pass of an item, as a changed guideline would."""
        first = self.row(external_id)
        return QueueRow.objects.create(
            project=self.project,
            item=first.item,
            lane=first.lane,
            kind=QueueLane.Kind.RELABEL,
            pass_no=2,
            tiebreak=1,
            overlap=overlap,
        )

    def taken(self, external_id: str, kind: int = 1) -> int:
        """How many places of the item are held or used."""
        used = [Seat.State.HELD, Seat.State.SUBMITTED]
        return Seat.objects.filter(queue_row=self.row(external_id, kind), state__in=used).count()

    def n_free(self, external_id: str, kind: int = 1) -> int:
        """How many places of the item are on offer."""
        return sum(Offer.objects.filter(queue_row=self.row(external_id, kind)).values_list("n_free", flat=True))

    def vote(self, external_id: str, **verdicts: str) -> str:
        """Let people answer one particular item (all others are put behind it). Returns its state."""
        item = self.item(external_id)
        queue.set_ranks(project_id=self.project.pk, priorities={item.pk: 1_000_000}, draw_id=None)
        set_holdout_share(project=self.project, share=float(item.split == Item.Split.HOLDOUT))
        for name, verdict in verdicts.items():
            raw = self.lease_one(name)
            assert raw["item"] == item.pk
            self.submit(name, raw, verdict)
        queue.set_ranks(project_id=self.project.pk, priorities={item.pk: 0}, draw_id=None)
        set_holdout_share(project=self.project, share=0)
        return queue.item_state(item.pk)


def import_rows(project: Project, rows: Iterable[Mapping[str, Any]], **options: Any) -> Outcome:
    """Import rows as a file of JSON lines would bring them."""
    assert project.schema is not None
    lines = [json.loads(json.dumps(row)) for row in rows]
    compiled = project.schema.compiled
    outcome, stored = load_items(
        project=project,
        read=lambda: ((n, parse_row(line, compiled)) for n, line in enumerate(lines, start=1)),
        actor=None,
        **options,
    )
    assert stored, outcome.errors
    return outcome


def put_organisation_back(**_signal: Any) -> None:
    """A test that really commits ends by emptying every table, also of the row that a migration put there."""
    Organisation.objects.get_or_create(pk=1)


# Django sends this after it has emptied the tables, too.
post_migrate.connect(put_organisation_back, dispatch_uid="organisation")


@cache
def hashed_password() -> str:
    return make_password(PASSWORD)


def make_cast() -> Cast:
    """Everybody, with a password. Thousands of tests begin so: one statement, and no event of how they came."""
    users = [User(username=name, password=hashed_password()) for name in [*ROLES, "mallory"]]
    return Cast(**{user.username: user for user in User.objects.bulk_create(users)})


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody."""
    return make_cast()


MakeDesk = Callable[..., Desk]


def make_desk_of(
    cast: Cast,
    n: int = 3,
    schema: Mapping[str, Any] = CHOICE_SCHEMA,
    slug: str = "forum",
    rows: Iterable[Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Desk:
    """Make a project owned by olga with everybody in their role and `n` short texts `t-1` ... `t-n`.

    Settings are as for `POST projects`. The holdout's share of served work is 0 unless a test sets it.
    """
    settings.setdefault("learning", {"holdout_share": 0, "every": None})
    project = projects.create_project(slug=slug, name=slug.title(), schema=schema, settings=settings, owner=cast.olga)
    others = [Member(project=project, user=cast[name], role=role) for name, role in ROLES.items() if name != "olga"]
    Member.objects.bulk_create(others)
    rows = [{"external_id": f"t-{i}", "text": f"text number {i}"} for i in range(1, n + 1)] if rows is None else rows
    import_rows(project, rows)
    return Desk(project, cast)


@pytest.fixture
def make_desk(cast: Cast) -> MakeDesk:
    """`make_desk_of` this cast."""
    return partial(make_desk_of, cast)
