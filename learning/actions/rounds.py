"""A round from the request to the raised batch: the rows of it, one short transaction each, fenced by its job."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from annotation.actions.events import write_event
from annotation.actions.items import set_holdout_share, set_priorities
from annotation.actions.jobs import start_job
from annotation.actions.locks import lock_project
from annotation.actions.projects import refuse_archived
from annotation.errors import InvalidError
from annotation.kinds import Question
from annotation.models import Draw, DrawItem, Event, Item, Job, Project, QueueRow, User
from annotation.settings import STRATEGIES, learning_settings
from learning.actions.models import TRAINED_NAMES, refuse_barred
from learning.models import ModelVersion, Round
from learning.questions import require_question

KIND = "round"
MAX_BATCH = 1_000_000
MAX_SEED = 2**32 - 1
HOLDOUT_FULL = 300
# Begun in an earlier batch and not finished: after the new batch, before what was never chosen.
BEGUN_PRIORITY = 0.5

Check = Callable[[], Any]


@dataclass(frozen=True)
class Pick:
    """One item of a batch. `probability` is None where the choice was deterministic, `utility` where none was used."""

    item: int
    probability: float | None
    utility: float | None


def lock_name(project: Project) -> str:
    """The lock of the jobs that change a project's models, scores and priorities: one at a time."""
    return f"round:{project.pk}"


@transaction.atomic
def start_round(
    *,
    project: Project,
    actor: User | None,
    trigger: str,
    strategy: str | None = None,
    batch: int | None = None,
    question: str | None = None,
    model: str | None = None,
    train: bool | None = None,
    seed: int | None = None,
    random_share: float | None = None,
) -> Job:
    """Queue a round; while another one runs or waits, it comes after that one.

    What is left out comes from the project's learning settings. `train` False: the current model's scores are used.
    `model`: a name (its newest version), `NAME@VERSION` or an id; its scores are used as they are, or made anew if it
    was trained here. The bare name of models that are trained here asks for training, unless `train` is False. A seed
    makes all chance in a round repeatable. Raises InvalidError with a sentence per field, StateError for an archived
    project.
    """
    refuse_archived(project)
    fields = _check_fields(project, strategy, batch, seed, random_share)
    asked = require_question(project, question)
    if model in TRAINED_NAMES.values() and train is not False:
        model = None
    chosen = None if model is None else _find_model(project, asked, model)
    if chosen is not None:
        refuse_barred(chosen)
    if chosen is not None and train:
        raise InvalidError(fields={"train": _("A named model is used, not trained. Leave `model` or `train` out.")})
    round_ = _create_round(project, asked, trigger, fields)
    job = start_job(
        kind=KIND,
        project=project,
        created_by=actor,
        args={
            "round": round_.pk,
            "train": chosen is None and train is not False,
            "model": chosen.pk if chosen is not None else None,
        },
        lock=lock_name(project),
    )
    Round.objects.filter(pk=round_.pk).update(job=job)
    write_event(project=project, kind="round.requested", actor=actor, ref_id=round_.pk, data={"trigger": trigger})
    return job


@transaction.atomic
def open_round(*, project: Project, job: Job, question: Question, trigger: str, check: Check) -> Round:
    """The round that a job carries out as its last part, under the project's settings; the same one each attempt."""
    check()
    before = Round.objects.filter(project=project, job=job).first()
    if before is not None:
        return before
    round_ = _create_round(project, question, trigger, _check_fields(project, None, None, None, None))
    Round.objects.filter(pk=round_.pk).update(job=job)
    round_.job = job
    write_event(
        project=project, kind="round.requested", actor=job.created_by, ref_id=round_.pk, data={"trigger": trigger}
    )
    return round_


def _check_fields(
    project: Project, strategy: object, batch: object, seed: object, random_share: object
) -> dict[str, Any]:
    settings = learning_settings(project)
    faults: dict[str, str] = {}
    strategy = settings["strategy"] if strategy is None else strategy
    if strategy not in STRATEGIES:
        faults["strategy"] = _("One of: %(known)s.") % {"known": ", ".join(STRATEGIES)}
    batch = settings["batch"] if batch is None else batch
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= MAX_BATCH:
        faults["batch"] = _("A whole number from 1 to %(most)d.") % {"most": MAX_BATCH}
    seed = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        faults["seed"] = _("A whole number from 0 to %(most)d.") % {"most": MAX_SEED}
    share = settings["random_share"] if random_share is None else random_share
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        faults["random_share"] = _("A number from 0 to 1.")
    if faults:
        raise InvalidError(fields=faults)
    return {"strategy": strategy, "batch": batch, "seed": seed, "random_share": share}


def _find_model(project: Project, question: Question, wanted: str) -> ModelVersion:
    models = ModelVersion.objects.of_question(project, question).order_by("-pk")
    found = models.filter(name=wanted).first()
    if found is None and "@" in wanted:
        name, _at, version = wanted.rpartition("@")
        found = models.filter(name=name, version=version).first()
    if found is None and wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
        found = models.filter(pk=int(wanted)).first()
    if found is None:
        raise InvalidError(
            fields={
                "model": _("There is no such model for this question. `GET models` lists them: give its name or id.")
            }
        )
    return found


def _create_round(project: Project, question: Question, trigger: str, fields: dict[str, Any]) -> Round:
    lock_project(project, "round")
    last = Round.objects.filter(project=project).aggregate(last=Max("number"))["last"] or 0
    return Round.objects.create(
        project=project,
        number=last + 1,
        question=question["id"],
        trigger=trigger,
        last_event_id=_last_event(project),
        **fields,
    )


def _last_event(project: Project) -> int:
    return Event.objects.filter(project=project).order_by("-pk").values_list("pk", flat=True).first() or 0


@transaction.atomic
def begin_round(*, round: Round, check: Check) -> None:
    """Note which resolutions the round has seen: those up to now, which it is about to load."""
    check()
    Round.objects.filter(pk=round.pk).update(last_event_id=_last_event(round.project))


def digest_frame(items: Iterable[int]) -> bytes:
    """SHA-256 over the sorted ids in decimal, one a line: which items could have been chosen."""
    return hashlib.sha256("\n".join(map(str, sorted(items))).encode()).digest()


def raise_batch(
    *,
    round: Round,
    check: Check,
    picks: Sequence[Pick],
    frame: Sequence[int],
    n_pool: int,
    n_train: int | None,
    model: ModelVersion | None,
    strategy: str,
    note: str = "",
) -> None:
    """Put a batch at the head of the queue, first pick first, in the place of the batch before; this ends the round.

    Items of earlier batches that nobody has taken fall back to priority 0; those that somebody has stay before them and
    come after the new batch. What is settled has no priority any more: else all that was ever raised would stand before
    what is served next, for whoever looks through it. `frame`: the ids that could have been picked. `strategy`: the one
    that chose, which is "random" where there was nothing to choose by.

    Two short transactions. What people hold and answer just now is put behind in the first, which does nothing else and
    is over in milliseconds: an answer waits for its item's row. The second takes a tenth of a second, over rows that
    hardly anybody has. Cut off between them, a round leaves the batch before as it was, less what was put behind, and
    its next attempt does both again.
    """
    digest = digest_frame(frame)
    project = round.project
    chosen = {pick.item: float(len(picks) - rank) for rank, pick in enumerate(picks)}
    with transaction.atomic():
        check()
        earlier = _find_earlier(project, set(chosen))
        _set_all(project, (_kept(earlier), None))
    with transaction.atomic():
        check()
        earlier = _find_earlier(project, set(chosen))
        draw = _store_draw(round, picks, frame, digest, strategy) if picks else None
        fallen = dict.fromkeys(earlier.unserved, 0.0)
        _set_all(project, (_kept(earlier), None), (fallen, _import_draw(project)), (chosen, draw))
        Round.objects.filter(pk=round.pk).update(
            draw=draw,
            model_version=model,
            n_train=n_train,
            n_pool=n_pool,
            n_selected=len(picks),
            note=note,
            finished_at=Now(),
        )
        write_event(
            project=project,
            kind="round.finished",
            actor=None,
            ref_id=round.pk,
            data={"number": round.number, "n_selected": len(picks)},
        )


def _set_all(project: Project, *given: tuple[dict[int, float], Draw | None]) -> None:
    """Give items priorities, each group with the draw that says why (None: the one that it has)."""
    # All rows first, in the order of their ids: what follows waits for none, so nobody waits in a circle.
    rows = QueueRow.objects.filter(
        project=project, kind=1, item_id__in=[item for priorities, _draw in given for item in priorities]
    )
    list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    for priorities, draw in given:
        if priorities:
            set_priorities(project=project, priorities=priorities, draw=draw)


def _store_draw(round: Round, picks: Sequence[Pick], frame: Sequence[int], digest: bytes, strategy: str) -> Draw:
    draw = Draw.objects.create(
        project=round.project,
        stream=Draw.Stream.ACTIVE,
        strategy=strategy,
        seed=round.seed,
        frame_digest=digest,
        n_frame=len(frame),
        round=round.pk,
    )
    DrawItem.objects.bulk_create(
        [
            DrawItem(draw=draw, item_id=pick.item, probability=pick.probability, rank=rank, utility=pick.utility)
            for rank, pick in enumerate(picks, start=1)
        ],
        batch_size=1000,
    )
    return draw


@dataclass(frozen=True)
class _Earlier:
    """Items that earlier rounds raised: those that are nobody's, those that are begun, those that are settled."""

    unserved: list[int]
    begun: list[int]
    settled: list[int]


def _kept(earlier: _Earlier) -> dict[int, float]:
    """Priorities of those that keep their draw."""
    return dict.fromkeys(earlier.settled, 0.0) | dict.fromkeys(earlier.begun, BEGUN_PRIORITY)


def _find_earlier(project: Project, chosen: set[int]) -> _Earlier:
    """What earlier rounds raised and stands elsewhere from now on."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select item_id, state, is_begun from (
              select q.item_id, q.state, q.rank, exists (select 1 from annotation_seat s
                where s.queue_row_id = q.id and s.state in (1, 2)) as is_begun
              from annotation_queuerow q join annotation_draw d on d.id = q.draw_id
              where q.project_id = %s and q.kind = 1 and q.rank < 0 and d.round is not null) r
            where state <> 0 or not is_begun or rank <> %s
            """,
            [project.pk, -BEGUN_PRIORITY],
        )
        rows = [row for row in cursor.fetchall() if row[0] not in chosen]
    return _Earlier(
        unserved=[item for item, state, is_begun in rows if not state and not is_begun],
        begun=[item for item, state, is_begun in rows if not state and is_begun],
        settled=[item for item, state, _is_begun in rows if state],
    )


def _import_draw(project: Project) -> Draw | None:
    """What an item that fell back is served by: the order of the pool, as it was imported."""
    return Draw.objects.filter(project=project, stream=Draw.Stream.ACTIVE, round=None).order_by("pk").first()


@transaction.atomic
def note_costs(*, round: Round, costs: Mapping[str, Any], check: Check) -> None:
    """Note what a round has taken so far, and the step that it is at."""
    check()
    Round.objects.filter(pk=round.pk).update(costs=dict(costs))


@transaction.atomic
def fail_round(*, round: Round, reason: str, check: Check) -> None:
    """End a round that could not be carried out, with the sentence why."""
    check()
    ended = Round.objects.filter(pk=round.pk, finished_at=None).update(note=reason, finished_at=Now())
    if ended:
        write_event(project=round.project, kind="round.failed", actor=None, ref_id=round.pk)


# Settled items one by one, until there are enough: this is asked again and again while items are settled, and there may
# be a million that are not. "(select ...) = 1" is a probe; a join would read tables from their start.
_SOME_RESOLVED = """
    select count(*) from (
      select distinct r.item_id from reviewers_resolution r
      where r.project_id = %(project)s and r.state = %(state)s
        and (select i.split from annotation_item i where i.id = r.item_id) = 1
        and (select 1 from annotation_queuerow q
             where q.item_id = r.item_id and q.kind in (1, 4) and q.state = r.state limit 1) = 1
      order by r.item_id limit %(most)s) x
"""


def count_resolved_holdout(project: Project, at_most: int | None = None) -> int:
    """How many items of the holdout are settled; counting stops at `at_most`."""
    states = (QueueRow.State.AGREED, QueueRow.State.ADJUDICATED)
    if at_most is None:
        settled = QueueRow.objects.filter(project=project, kind__in=(1, 4), state__in=states)
        return settled.filter(item__split=Item.Split.HOLDOUT).values("item").distinct().count()
    n = 0
    with connection.cursor() as cursor:
        for state in states:
            about = {"project": project.pk, "state": state.value, "most": at_most - n}
            cursor.execute(_SOME_RESOLVED, about)
            n += cursor.fetchone()[0]
    return n


def settle_holdout_share(*, project: Project) -> float:
    """Serve nothing more from the holdout once 300 of its items are settled, and the set share until then."""
    wanted = float(learning_settings(project)["holdout_share"])
    if wanted and count_resolved_holdout(project, HOLDOUT_FULL) >= HOLDOUT_FULL:
        wanted = 0.0
    if Project.objects.filter(pk=project.pk).values_list("holdout_share_now", flat=True).get() != wanted:
        set_holdout_share(project=project, share=wanted)
    return wanted
