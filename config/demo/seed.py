"""Makes the two demo projects, through the same actions that people's requests call; what is there already stays.

Each step looks at the rows to see whether it is done, so a run that was killed is simply run again. An owner who
archived a demo project does not get it back. The projects have no owner of their own: superusers look after them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from random import Random

from django.db import connection
from django.utils.translation import gettext as _

from annotation import queue
from annotation.access import Access, Caller, access_to
from annotation.actions.answers import answer_lease
from annotation.actions.imports import load_items
from annotation.actions.media import add_media
from annotation.actions.people import ensure_outside_person
from annotation.actions.projects import change_project, create_project, put_guideline, set_member
from annotation.importing.rows import ItemRow, make_image_row, parse_row
from annotation.jobs import run_job
from annotation.kinds import LabelValue
from annotation.media_reading import MediaReader
from annotation.models import Import, Item, Job, Offer, Project, QueueRow, User
from annotation.schema import parse_answers
from annotation.settings import LEARNING_DEFAULTS, PROPOSED_STRATEGY
from config.demo import Comment, ProjectName, load_comments, load_guideline, load_schema
from config.demo.annotators import ANNOTATORS, Annotator, answer, reply_rng
from config.demo.digits import ATTRIBUTION, N_DIGITS, iterate_digits
from learning.actions.rounds import start_round
from learning.actions.snapshots import start_snapshot
from learning.models import Round, Snapshot

SEED = 43  # of the demo itself: with it the holdout of the community has enough comments to judge a model on
ROUNDS = 4
RESOLVED_PER_ROUND = 45
HELD = 5
LEARNING = {"question": "verdict", "batch": 40, "strategy": PROPOSED_STRATEGY}

Say = Callable[[str], None]


class SeedError(Exception):
    """A step of the demo went wrong; the text says which and why."""


def seed(say: Say) -> None:
    """Make both demo projects complete. `say` gets a line for each step. Raises SeedError.

    One run at a time, whoever started it: the lock goes with the connection, so a killed run keeps nobody waiting.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(hashtext('touchstone demo'))")
        try:
            seed_community(say)
            seed_digits(say)
        finally:
            cursor.execute("select pg_advisory_unlock(hashtext('touchstone demo'))")


def seed_community(say: Say) -> None:
    """Comments, a policy, and three simulated people who have done part of the work, with rounds and a snapshot."""
    project = _ensure_project(
        "community",
        name=_("Community comments"),
        description=_(
            "Short comments from a forum, written for this demo; nobody in them exists. Three simulated annotators of "
            "different skill have begun; their work is marked as simulated."
        ),
        settings={
            "overlap": {"min": 2, "max": 3},
            "learning": {**LEARNING, "every": None},
        },
    )
    if project is None:
        return
    comments = load_comments()
    _ensure_items(project, lambda: _comment_rows(project, comments))
    by_id = {
        item: comment
        for comment in comments
        for item in Item.objects.filter(project=project, external_id=comment.external_id).values_list("pk", flat=True)
    }
    crew = [(annotator, _ensure_annotator(project, annotator)) for annotator in ANNOTATORS]
    if Round.objects.filter(project=project, finished_at__isnull=False).count() < ROUNDS:
        say(_("The simulated annotators are at work."))
        # Set as the project's own setting: beat, which runs meanwhile, puts the served share back to what is set.
        _set_learning(project, every=None, holdout_share=1)
        _work(project, crew, by_id, until=lambda: not _waiting(project, Item.Split.HOLDOUT))
        _set_learning(project, every=None, holdout_share=0)
        for number in range(1, ROUNDS + 1):
            _work(project, crew, by_id, until=partial(_has_settled, project, number * RESOLVED_PER_ROUND))
            if Round.objects.filter(project=project, finished_at__isnull=False).count() < number:
                say(_("Round %(number)d of the model.") % {"number": number})
                _finish(start_round(project=project, actor=None, trigger=Round.Trigger.DEMAND, seed=number))
        # From now on a round starts by itself, with what people add.
        _set_learning(project, every=40, holdout_share=LEARNING_DEFAULTS["holdout_share"])
        _work(project, crew, by_id, until=partial(_has_settled, project, (ROUNDS + 1) * RESOLVED_PER_ROUND))
    if not Snapshot.objects.filter(project=project, state=Snapshot.State.PUBLISHED).exists():
        say(_("The first snapshot."))
        _finish(start_snapshot(project=project, actor=None))


def _set_learning(project: Project, *, every: int | None, holdout_share: float) -> None:
    learning = {**LEARNING, "every": every, "holdout_share": holdout_share}
    change_project(project=project, settings={"learning": learning}, actor=None)


def seed_digits(say: Say) -> None:
    """The handwritten digits of scikit-learn, with known answers and nothing labelled yet."""
    project = _ensure_project(
        "digits",
        name=_("Handwritten digits"),
        description=_(
            "1,797 small images of handwritten digits, to be labelled from 0 to 9 with one key each. Nothing is "
            "labelled yet."
        )
        + f"\n\n{ATTRIBUTION}",
        settings={"learning": {"question": "digit", "every": 50, "batch": 50, "strategy": PROPOSED_STRATEGY}},
    )
    if project is None:
        return
    if Item.objects.filter(project=project).count() < N_DIGITS or not Import.objects.filter(
        project=project, is_visible=True
    ):
        say(_("The images of the digits."))
    _ensure_items(project, lambda: _digit_rows(project))


def _ensure_project(slug: ProjectName, *, name: str, description: str, settings: dict[str, object]) -> Project | None:
    """The demo project with its guideline; None where it was archived, or the name is somebody's own project's."""
    project = Project.objects.select_related("schema", "guideline").filter(slug=slug).first()
    if project is None:
        project = create_project(
            slug=slug,
            name=name,
            schema=load_schema(slug),
            settings={"description": description, **settings},
            owner=None,
            is_demo=True,
            seed=hashlib.sha256(f"touchstone {slug} {SEED}".encode()).digest(),
        )
    if not project.is_demo or project.state == Project.State.ARCHIVED:
        return None
    if project.guideline is None:
        guideline = load_guideline(slug)
        put_guideline(project=project, change=guideline["change"], clauses=guideline["clauses"], actor=None)
    return Project.objects.select_related("schema", "guideline").get(pk=project.pk)


def _ensure_items(project: Project, read: Callable[[], Iterator[tuple[int, ItemRow]]]) -> None:
    if Import.objects.filter(project=project, is_visible=True).exists():
        return
    outcome, stored = load_items(project=project, read=read, actor=None)
    if not stored:
        raise SeedError(str(outcome.errors))


def _comment_rows(project: Project, comments: list[Comment]) -> Iterator[tuple[int, ItemRow]]:
    """Comments as items. What their author intended stays out of them: annotators could see it."""
    compiled = project.schema.compiled if project.schema else {}
    for line, comment in enumerate(comments, start=1):
        row = {"external_id": comment.external_id, "group": comment.group, "text": comment.text}
        yield line, parse_row({**row, "language": "en"}, compiled)


def _digit_rows(project: Project) -> Iterator[tuple[int, ItemRow]]:
    compiled = project.schema.compiled if project.schema else {}
    with MediaReader() as reader:
        for line, digit in enumerate(iterate_digits(), start=1):
            media, _is_new = add_media(project=project, source=io.BytesIO(digit.png), actor=None, reader=reader)
            gold: dict[int, LabelValue] = parse_answers(compiled, {"digit": digit.answer})
            yield line, dataclasses.replace(make_image_row(digit.external_id, media.sha256), gold=gold)


def _ensure_annotator(project: Project, annotator: Annotator) -> User:
    user = ensure_outside_person(project=project, name=annotator.name.title(), kind=User.Kind.SIMULATED)
    set_member(project=project, user=user, role="annotator", actor=None)
    return user


def _work(
    project: Project, crew: list[tuple[Annotator, User]], by_id: dict[int, Comment], until: Callable[[], bool]
) -> None:
    """Let everybody take a few leases in turn and answer them, until it is enough or nobody is offered anything."""
    while not until():
        done = sum(_sit_down(project, annotator, user, by_id) for annotator, user in crew)
        if not done:
            return


def _sit_down(project: Project, annotator: Annotator, user: User, by_id: dict[int, Comment]) -> int:
    """One sitting of one simulated person. Returns how many answers they gave."""
    access = _access(project, user)
    rng = Random(f"{annotator.name}:{SEED}")  # noqa: S311  (chance for a demo)
    leases = queue.lease(project_id=project.pk, person_id=user.pk, n=HELD, rng=rng).leases
    for raw in leases:
        comment = by_id[raw["item"]]
        reply = answer(annotator, comment, reply_rng(annotator, comment, SEED))
        answer_lease(
            access=access,
            stamp=queue.find_stamp(seat_id=raw["seat"], generation=raw["generation"], person_id=user.pk),
            generation=raw["generation"],
            key=f"demo-{raw['seat']}-{raw['generation']}",
            body={"answers": reply.answers, "seconds": reply.seconds, "unsure": reply.unsure},
            rng=rng,
        )
    return len(leases)


def _access(project: Project, user: User) -> Access:
    access = access_to(Caller(user), project)
    if access is None:
        raise SeedError(f"{user.name} is no member of {project.slug}")
    return access


def _waiting(project: Project, split: Item.Split) -> bool:
    """Whether items of a split still want answers."""
    return Offer.objects.filter(queue_row__project=project, queue_row__kind=1, item__split=split).exists()


def _has_settled(project: Project, wanted: int) -> bool:
    """Whether that many items of the pool are agreed."""
    agreed = QueueRow.objects.filter(project=project, kind=1, item__split=Item.Split.POOL, state=QueueRow.State.AGREED)
    return agreed.count() >= wanted


def _finish(job: Job) -> None:
    """See a job through: here, unless a worker has it already. Raises SeedError where it fails."""
    import_module("learning.tasks")  # registers the kinds of jobs, as a worker does
    while True:
        run_job(job.pk)
        job.refresh_from_db()
        if job.state == Job.State.DONE:
            return
        if job.state in (Job.State.FAILED, Job.State.DEAD):
            raise SeedError(f"{job.kind}: {job.error}")
        time.sleep(0.2)
