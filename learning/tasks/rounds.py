"""The job of a round: train (or take scores), judge, score the pool, choose a batch, raise it.

Each step may be cut off anywhere and run again: a model kept by an earlier attempt is replaced, scores are written
over, and a round whose swap is done goes on from the stored probabilities. The batch is raised in one transaction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.errors import TouchstoneError
from annotation.jobs import JobFailedError, JobLostError, RunningJob, job_kind
from annotation.kinds import Question
from annotation.models import Project, User
from annotation.settings import learning_settings
from learning.actions.models import keep_model, make_current, remove_old_scores, write_scores
from learning.actions.rounds import (
    KIND,
    Pick,
    begin_round,
    fail_round,
    note_costs,
    raise_batch,
    settle_holdout_share,
)
from learning.beginning import look_into
from learning.beliefs import load_beliefs
from learning.features.stored import Shards, refresh_shards
from learning.judging import Beside, judge, judge_beside_current, judge_by_chance, judge_sent
from learning.keywords import find_likeness
from learning.loading import Pool, load_holdout, load_pool, load_sent_proba, load_training
from learning.model_files import as_stored, read_proba, sizes_of, store_proba
from learning.models import ModelVersion, Round
from learning.questions import classes_of, holds_several
from learning.reports import current_model, find_metric
from learning.scoring import (
    align_to,
    fit_space,
    join_items,
    pack_model,
    predict,
    recipe_for,
    unpack_model,
    utilities_for,
)
from learning.selection import ItemVectors, drawn_by_chance, look_at
from learning.stopwatch import Stopwatch, clock_of_process
from learning.tasks.opening import open_question

if TYPE_CHECKING:
    from learning.algorithms.estimators import Model
    from learning.algorithms.features import Features
    from learning.algorithms.strategies import Batch, Candidates

# Items of the pool from which directions of texts and a model's shares are taken.
MAX_SAMPLE = 10_000
# What stands in for a committee that is not there.
MARGIN = "margin"


class Terms(Protocol):
    """Under which a model scores a pool: a round's, or those of a promotion."""

    @property
    def project(self) -> Project: ...
    @property
    def strategy(self) -> str: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Scored:
    """Probabilities of items of the pool, or none (a cold start); by several models too where the strategy asks them.

    `vectors`: the items as the model sees them, or as one of this house would; None where there is no model.
    """

    model: ModelVersion | None
    items: NDArray[np.int64]
    proba: NDArray[np.float64] | None
    n_train: int | None
    note: str = ""
    vectors: ItemVectors | None = None
    committee: NDArray[np.float32] | None = None


@job_kind(KIND)
def run_round(running: RunningJob) -> dict[str, Any]:
    """Carry out the round that the job was started for; the result is `{"round"}`."""
    round_ = Round.objects.select_related("project__schema", "project__guideline", "model_version").get(
        pk=running.args["round"]
    )
    conduct(running, round_, train=bool(running.args["train"]), model_id=running.args["model"])
    return {"round": str(round_.pk)}


def conduct(running: RunningJob, round_: Round, *, train: bool, model_id: int | None) -> None:
    """Carry a round out, by the clock; where that cannot be done, its row says why before the error goes on."""
    watch = Stopwatch(clock_of_process(), round_.costs)

    def enter(step: str | None) -> None:
        watch.enter(step)
        note_costs(round=round_, costs=watch.read(), check=running.check)

    running.on_step = enter
    try:
        carry_out(running, round_, watch, train=train, model_id=model_id)
        enter(None)
    except JobLostError:
        raise
    except TouchstoneError as error:
        enter(None)
        fail_round(round=round_, reason=error.detail, check=running.check)
        raise
    except Exception as error:
        enter(None)
        if running.job.attempt >= running.job.max_attempts:
            reason = _("It stopped unexpectedly (%(error)s), each time that this was tried.")
            fail_round(round=round_, reason=reason % {"error": type(error).__name__}, check=running.check)
        raise


def carry_out(running: RunningJob, round_: Round, watch: Stopwatch, *, train: bool, model_id: int | None) -> None:
    """All of a round, from wherever an earlier attempt left it.

    JobFailedError where there is nothing to go by; StateError while labels are of two versions of the schema.
    """
    project = round_.project
    refusal = _("The question of this round is no longer one that can be learned.")
    question = open_question(project, round_.question, refusal)
    if round_.finished_at is None:
        running.on_step("read")
        scored = _score(running, round_, question, train=train, model_id=model_id)
        _note_sizes(watch, scored)
        running.on_step("choose")
        _raise_batch(running, round_, question, scored)
    running.on_step("tidy")
    # Within the job, whose lock keeps others from building scores meanwhile.
    remove_old_scores(project=project, question=round_.question, check=running.check)
    settle_holdout_share(project=project)


def _note_sizes(watch: Stopwatch, scored: Scored) -> None:
    if scored.model is not None:
        of_model, of_scores = sizes_of(scored.model)
        watch.note_sizes(model_bytes=of_model, score_bytes=of_scores, n_scores=len(scored.items))


def _score(running: RunningJob, round_: Round, question: Question, *, train: bool, model_id: int | None) -> Scored:
    from learning.algorithms.strategies import find_strategy

    if model_id is not None:
        return score_with(running, round_, question, ModelVersion.objects.get(pk=model_id))
    kept = round_.model_version
    with_committee = find_strategy(round_.strategy).needs_committee  # which is nowhere stored
    if train and kept is not None and kept.is_current and not with_committee:  # cut off between the swap and the batch
        stored = read_proba(kept)
        if stored is not None:
            items, proba = stored
            vectors = _vectors_of(running, round_.project, kept)
            return Scored(kept, items, align_to(question, proba, kept.classes), kept.n_train, vectors=vectors)
    if train:
        return _train(running, round_, question)
    current = current_model(round_.project, question)
    if current is None:
        raise JobFailedError(
            _("There is no model for this question yet. Start a round that trains one, or send predictions.")
        )
    return score_with(running, round_, question, current)


def _vectors_of(running: RunningJob, project: Project, model: ModelVersion) -> ItemVectors:
    def unpack() -> tuple[Features, Shards]:
        features, _fitted, shards = _unpack(running, project, model)
        return features, shards

    return ItemVectors(unpack)


def _vectors_for(running: RunningJob, round_: Terms, items: NDArray[np.int64]) -> ItemVectors:
    """Items as a model of this house would see them, in a space that is fitted on `items` when first asked for."""

    def fit() -> tuple[Features, Shards]:
        shards = _count(running, round_.project)
        return fit_space(shards, items, np.random.default_rng([round_.seed, 2])), shards

    return ItemVectors(fit)


def _count(running: RunningJob, project: Project) -> Shards:
    """The features of all items, made now where they were not."""
    return refresh_shards(project, running.check, running.progress)


class _Progress:
    """Counts items over all steps of a round."""

    def __init__(self, running: RunningJob, total: int) -> None:
        self.running, self.done, self.total = running, 0, total
        running.progress(0, total)

    def __call__(self, n: int) -> None:
        self.done += n
        self.running.progress(min(self.done, self.total), self.total)


def _train(running: RunningJob, round_: Round, question: Question) -> Scored:
    from learning.algorithms import weights
    from learning.algorithms.basis import fit_basis
    from learning.algorithms.estimators import UnsuitableError, why_alike
    from learning.algorithms.strategies import find_strategy
    from learning.algorithms.teaching import Lesson, calibrate, choose, teach, teach_committee

    project, classes = round_.project, classes_of(question)
    begin_round(round=round_, check=running.check)
    training, holdout, pool = load_training(project, question), load_holdout(project, question), load_pool(project)
    alike = why_alike(training.y)
    if alike is not None:
        return _without_training(running, round_, question, pool, alike, len(training))

    running.on_step("count")
    shards = _count(running, project)
    running.on_step("fit")
    known = join_items(training, pool.items)
    progress = _Progress(running, len(holdout) + len(pool))
    features = fit_space(shards, known, np.random.default_rng([round_.seed, 2]))
    lesson = Lesson(
        shards.vectorise(features, training.items),
        training.y,
        drawn_by_chance(project, training.items),
        None if holds_several(question) else load_beliefs(project, question, training),
    )
    chosen = training.items[~lesson.is_by_chance]
    sample = _sample(known, round_.seed)
    some = shards.vectorise(features, sample)
    basis = fit_basis(some, np.random.default_rng([round_.seed, 3]))
    n_left = len(known) - len(chosen)

    def fit(is_used: NDArray[np.bool_]) -> Model:
        part = lesson.select(is_used)
        return teach(part, len(classes), round_.seed, recipe=recipe, some=some, n_left=n_left, basis=basis)

    try:
        recipe = choose(recipe_for(project, features), lesson, len(classes), round_.seed, basis=basis)
        model = fit(np.ones(len(training), bool))
    except UnsuitableError as error:
        raise JobFailedError(_("No model could be made: %(reason)s") % {"reason": error}) from error
    model = calibrate(model, lesson, round_.seed, recipe=recipe, n_left=n_left, basis=basis)
    running.on_step("judge")
    judged = predict(features, shards, model, holdout.items, progress)
    beside = judge_beside_current(project, question, shards, holdout, judged, round_.seed)
    thresholds = model.settings.get("thresholds", ())
    figures = judge(project, question, holdout, judged, round_.seed, thresholds)
    of_all = find_metric(figures, "macro_f1") or {}
    evaluation = {
        **figures,
        "beside": None if beside is None else {"model": str(beside.current), "gain": beside.gain},
        "is_worse": beside is not None and beside.is_worse,
        "by_chance": judge_by_chance(project, features, shards, lesson.is_by_chance, fit, holdout, of_all, round_.seed),
        "n_train": len(training),
        "round": round_.number,
        "strategy": round_.strategy,
        "settings": dict(model.settings),
    }
    running.on_step("keep")
    data = pack_model(features, model, classes, training)
    kept = keep_model(
        round=round_,
        check=running.check,
        estimator=model.settings["estimator"],
        data=data,
        digest=weights.sha256(data),
        classes=classes,
        n_train=len(training),
        evaluation=evaluation,
    )
    if beside is not None and beside.is_worse:
        return _with_the_better_one(running, round_, question, kept, beside)
    running.on_step("score")
    proba = as_stored(predict(features, shards, model, pool.items, progress))
    committee = None
    if find_strategy(round_.strategy).needs_committee and not holds_several(question):
        rng = np.random.default_rng([round_.seed, 8])
        members = teach_committee(model, lesson, rng, round_.seed, recipe=recipe, basis=basis)
        each = (predict(features, shards, member, pool.items, lambda _n: None) for member in members)
        committee = np.stack([said.astype(np.float32) for said in each])
    _publish(running, round_, question, kept, pool.items, proba)
    return Scored(kept, pool.items, proba, len(training), "", ItemVectors(lambda: (features, shards)), committee)


def _with_the_better_one(
    running: RunningJob, round_: Round, question: Question, kept: ModelVersion, beside: Beside
) -> Scored:
    """The new model is worse than the current one: that one's scores are used, and the note says so."""
    low, high = (-100 * end for end in beside.gain["interval"])
    note = _(
        "%(new)s is not used: on the same holdout items its macro-F1 is %(high).1f to %(low).1f points below that of"
        " %(old)s, whose scores were used."
    ) % {"new": kept, "old": beside.current, "low": low, "high": high}
    scored = score_with(running, round_, question, beside.current)
    return replace(scored, note=f"{note} {scored.note}".strip())


def _sample(items: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A fair sample: what the model is told of the pool besides its labels."""
    if len(items) <= MAX_SAMPLE:
        return items
    return np.sort(np.random.default_rng([seed, 5]).choice(items, MAX_SAMPLE, replace=False))


def _without_training(
    running: RunningJob, round_: Round, question: Question, pool: Pool, reason: str, n_labels: int
) -> Scored:
    """Too few labels to fit: the current model's scores if there is one, else a batch by chance. The note says so."""
    current = current_model(round_.project, question)
    if current is None:
        note = _("Nothing could be trained yet (%(reason)s).") % {"reason": reason}
        return Scored(None, pool.items, None, n_labels, note)
    note = _("Nothing could be trained yet (%(reason)s): the scores of %(model)s were used.")
    scored = score_with(running, round_, question, current)
    return replace(scored, note=f"{note % {'reason': reason, 'model': current}} {scored.note}".strip())


def score_with(
    running: RunningJob, round_: Terms, question: Question, model: ModelVersion, *, actor: User | None = None
) -> Scored:
    """Scores of the pool by a model that is there: stored ones where they were sent in, new ones where it was trained.

    The model becomes the current one, where there is an `actor` by that person's will. Raises JobFailedError where its
    file cannot be used.
    """
    running.on_step("read")
    pool = load_pool(round_.project)
    if model.origin == ModelVersion.Origin.EXTERNAL:
        return _score_sent(running, round_, question, model, pool, actor)
    project = round_.project
    running.on_step("count")
    features, fitted, shards = _unpack(running, project, model)
    running.on_step("score")
    raw = as_stored(predict(features, shards, fitted, pool.items, _Progress(running, len(pool))))
    proba = align_to(question, raw, model.classes)
    _publish(running, round_, question, model, pool.items, proba, actor)
    return Scored(model, pool.items, proba, model.n_train, vectors=ItemVectors(lambda: (features, shards)))


def _unpack(running: RunningJob, project: Project, model: ModelVersion) -> tuple[Features, Model, Shards]:
    from learning.algorithms.weights import WeightsError

    try:
        features, fitted = unpack_model(model)
    except (OSError, WeightsError) as error:
        raise JobFailedError(
            _("The file of %(model)s is not on this host or was changed. Train a new one.") % {"model": model}
        ) from error
    return features, fitted, _count(running, project)


def _write_scores(
    running: RunningJob,
    round_: Terms,
    question: Question,
    model: ModelVersion,
    items: NDArray[np.int64],
    proba: NDArray[np.float64],
) -> None:
    running.on_step("write")
    write_scores(
        model=model,
        items=items,
        proba=proba,
        utilities=utilities_for(question, round_.strategy, proba),
        classes=classes_of(question),
        check=running.check,
        is_several=holds_several(question),
    )


def _publish(
    running: RunningJob,
    round_: Terms,
    question: Question,
    model: ModelVersion,
    items: NDArray[np.int64],
    proba: NDArray[np.float64],
    actor: User | None = None,
) -> None:
    """Build the scores beside those that are shown, then swap."""
    _write_scores(running, round_, question, model, items, proba)
    if list(model.classes) == classes_of(question):
        store_proba(model, f"{running.job.pk}-{running.job.attempt}", items, proba, running.check)
    make_current(model=model, check=running.check, actor=actor)


def _score_sent(
    running: RunningJob, round_: Terms, question: Question, model: ModelVersion, pool: Pool, actor: User | None
) -> Scored:
    known, raw = load_sent_proba(model, pool.items)
    proba = align_to(question, raw, model.classes)
    items = pool.items[known]
    _write_scores(running, round_, question, model, items, proba)
    figures = judge_sent(round_.project, question, model, round_.seed)
    make_current(model=model, check=running.check, evaluation=figures, actor=actor)
    note = ""
    if len(items) < len(pool):
        note = _("%(n)d of %(total)d open items have no scores by %(model)s and could not be chosen.") % {
            "n": len(pool) - len(items),
            "total": len(pool),
            "model": model,
        }
    return Scored(model, items, proba, model.n_train, note, _vectors_for(running, round_, items))


def _raise_batch(running: RunningJob, round_: Round, question: Question, scored: Scored) -> None:
    from learning.algorithms.strategies import RANDOM, draw_batch

    pool = load_pool(round_.project)  # anew: scoring takes a while, and people go on
    with_place = pool.items[pool.has_place]
    is_candidate = np.isin(scored.items, with_place)
    frame = scored.items[is_candidate]
    rng = np.random.default_rng([round_.seed, 0])
    strategy, candidates, how = _prepare(running, round_, question, scored, is_candidate)
    batch = draw_batch(strategy, candidates, round_.batch, round_.random_share, rng)
    is_known = candidates.proba is not None or candidates.similarity is not None
    note = f"{scored.note} {how}".strip()
    if not len(frame):
        note = f"{note} {_('No open item is left to choose from.')}".strip()
    running.on_step("raise")
    raise_batch(
        round=round_,
        check=running.check,
        picks=_picks(frame, batch, has_utility=strategy != RANDOM and is_known),
        frame=[int(item) for item in frame],
        n_pool=len(pool),
        n_train=scored.n_train,
        model=scored.model,
        strategy=strategy,
        note=note,
    )


def _prepare(
    running: RunningJob, round_: Round, question: Question, scored: Scored, is_candidate: NDArray[np.bool_]
) -> tuple[str, Candidates, str]:
    """What chooses the batch, from what, and a sentence where that is not what the round was asked for."""
    from learning.algorithms.strategies import RANDOM, RARE, Candidates, find_strategy
    from learning.algorithms.strategies.adaptive import COVERAGE_LABELS, KEYWORD_LABELS
    from learning.algorithms.strategies.keywords import KEYWORDS

    frame, found = scored.items[is_candidate], find_strategy(round_.strategy)
    similarity = None
    keywords = learning_settings(round_.project)["keywords"]
    is_begun_by_words = found.uses_similarity and (scored.n_train or 0) < KEYWORD_LABELS
    if keywords and len(frame) and not found.is_random and (scored.proba is None or is_begun_by_words):
        rng = np.random.default_rng([round_.seed, 7])
        similarity = find_likeness(round_.project, _count(running, round_.project), frame, keywords, rng)
    comparing = np.random.default_rng([round_.seed, 4])
    by_coverage = found.starts_by_coverage and (scored.n_train or 0) < COVERAGE_LABELS

    def look(proba: NDArray[np.float64] | None, vectors: ItemVectors) -> Candidates:
        return look_at(round_.project, question, frame, proba, vectors, comparing, starts_by_coverage=by_coverage)

    if scored.proba is None or scored.vectors is None:
        if similarity is not None:
            how = _("This batch was chosen by the words of the learning settings.")
            return KEYWORDS.name, Candidates(n=len(frame), similarity=similarity), how
        if by_coverage and len(frame) and not look_into(frame)[0]:
            seen = look(None, _vectors_for(running, round_, frame))
            if seen.is_dense:
                how = _("This batch was chosen so that as many items as possible are like one of it.")
                return found.name, seen, how
        return RANDOM, Candidates(n=len(frame)), _("This batch was drawn at random.")
    seen = look(scored.proba[is_candidate], scored.vectors)
    if holds_several(question) and (found.needs_committee or found.name == RARE.name):
        how = _("“%(strategy)s” is for labels that exclude each other: this batch was chosen by margin.")
        return MARGIN, seen, how % {"strategy": found.name}
    if not found.needs_committee:
        return found.name, replace(seen, similarity=similarity), ""
    if scored.committee is None:
        how = _("There is a committee in a round only whose own new model is used: this batch was chosen by margin.")
        return MARGIN, seen, how
    return found.name, replace(seen, committee=scored.committee[:, is_candidate]), ""


def _picks(frame: NDArray[np.int64], batch: Batch, *, has_utility: bool) -> list[Pick]:
    def known(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    return [
        Pick(int(frame[index]), known(probability), float(utility) if has_utility else None)
        for index, probability, utility in zip(batch.index, batch.probability, batch.utility, strict=True)
    ]
