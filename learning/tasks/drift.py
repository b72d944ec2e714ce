"""The job that compares what came in with what taught the current model: its contents, and what the model says of it.

Everything is compared on items of the holdout (`learning/incoming.py` says why), in a space and by a model that were
made without them, with one rate of false alarms for all comparisons together (`learning/algorithms/drift.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.kinds import Question
from annotation.models import Project
from learning.actions.drift import KIND
from learning.algorithms.thresholds import DEFAULT_THRESHOLD
from learning.drift import MIN_SAMPLED
from learning.features.stored import refresh_shards
from learning.incoming import SEED, Batch, find_incoming, last_known_import
from learning.loading import load_sent_proba
from learning.models import ModelVersion
from learning.questions import classes_of, holds_several
from learning.reports import current_model
from learning.scoring import align_to, fit_space, predict, taught_items, unpack_model
from learning.selection import ItemVectors, Space
from learning.tasks.opening import open_question

if TYPE_CHECKING:
    from learning.algorithms.drift import Comparison

MOST_STRANGE = 5

Ids = NDArray[np.int64]
Proba = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """A batch's sample as it is compared: what the model says of it, and where it lies in the space.

    `scored`: which items of the sample have scores; all of them under a model from here. `vectors`: None where no space
    is known. `is_several`: several choices may hold of an item.
    """

    batch: Batch
    scored: NDArray[np.bool_]
    proba: Proba
    vectors: NDArray[Any] | None
    is_several: bool

    @property
    def counts(self) -> NDArray[np.int64]:
        """Of how many scored items each choice is what the model says, (n_classes,)."""
        if self.is_several:
            return np.asarray((self.proba >= DEFAULT_THRESHOLD).sum(axis=0), np.int64)
        return np.asarray(np.bincount(self.proba.argmax(axis=1), minlength=self.proba.shape[1]), np.int64)

    @property
    def certainty(self) -> NDArray[np.float64]:
        """How probable the model calls what it says, (n_scored,); of several choices the least sure one."""
        if self.is_several:
            return np.asarray(np.maximum(self.proba, 1 - self.proba).min(axis=1), np.float64)
        return np.asarray(self.proba.max(axis=1), np.float64)


@job_kind(KIND)
def compare_batches(running: RunningJob) -> dict[str, Any]:
    """Compare each batch that came after the reference with it.

    `{"model", "classes", "unit", "n_left_out", "alpha", "has_space", "reference", "batches"}`: of each `{"imports",
    "since", "until", "n_items", "n_sampled", "n_scored", "shares"}` (of what the model says), of a batch also
    `"comparisons": {"choices", "certainty", "contents"}` (each `{"value", "p", "adjusted"}` or None, "certainty" with
    `"psi"`) and `"strange"`, the items that are least like the reference. JobFailedError without a current model, or
    with too small a reference.
    """
    project = running.project
    question = open_question(project, running.args["question"])
    model = current_model(project, question)
    if model is None:
        raise JobFailedError(_("There is no model for this question yet, so nothing that came in is new to it."))
    found = find_incoming(project, last_known_import(project, model, _taught(model)))
    if len(found.reference.sample) < MIN_SAMPLED:
        raise JobFailedError(
            _("The imports that taught %(model)s have %(n)d items in the holdout; a comparison needs %(needed)d.")
            % {"model": model, "n": len(found.reference.sample), "needed": MIN_SAMPLED}
        )
    running.progress(0, 1 + len(found.batches))
    measure = _measurer(running, project, question, model, found.pool)
    reference = measure(found.reference)
    batches = []
    for done, batch in enumerate(found.batches, start=1):
        batches.append(_compare(reference, measure(batch), done))
        running.progress(done, 1 + len(found.batches))
    _adjust(batches)
    return {
        "model": model.pk,
        "classes": classes_of(question),
        "unit": found.unit,
        "n_left_out": found.n_left_out,
        "alpha": _alpha(),
        "has_space": reference.vectors is not None,
        "reference": _about(reference),
        "batches": batches,
    }


def _alpha() -> float:
    from learning.algorithms.drift import ALPHA

    return ALPHA


def _taught(model: ModelVersion) -> Ids | None:
    if model.origin == ModelVersion.Origin.EXTERNAL:
        return None
    with _reading(model):
        return taught_items(model)


@contextmanager
def _reading(model: ModelVersion) -> Iterator[None]:
    """Say in a sentence that the model's file cannot be used."""
    from learning.algorithms.weights import WeightsError

    try:
        yield
    except (OSError, WeightsError) as error:
        raise JobFailedError(
            _("The file of %(model)s is not on this host or was changed. Train a new one.") % {"model": model}
        ) from error


def _measurer(
    running: RunningJob, project: Project, question: Question, model: ModelVersion, pool: Ids
) -> Callable[[Batch], Measured]:
    """What measures a batch: by the model, and in the space of items of the pool, which are in no sample."""
    shards = refresh_shards(project, running.check)
    if model.origin == ModelVersion.Origin.TRAINED:
        with _reading(model):
            features, fitted = unpack_model(model)

        def score(items: Ids) -> tuple[NDArray[np.bool_], Proba]:
            return np.ones(len(items), bool), predict(features, shards, fitted, items, lambda _n: None)
    else:

        def score(items: Ids) -> tuple[NDArray[np.bool_], Proba]:
            return load_sent_proba(model, items)

    # Not the model's own features: they know no word that came after it.
    own = fit_space(shards, pool, np.random.default_rng([SEED, 3]))
    space = Space(pool, ItemVectors(lambda: (own, shards)), np.random.default_rng([SEED, 1]))

    def measure(batch: Batch) -> Measured:
        scored, raw = score(batch.sample)
        placed = space(batch.sample) if len(batch.sample) else None
        # Words of too few texts to know directions stay as they are, a column a word: nothing to compare by.
        dense = placed if isinstance(placed, np.ndarray) and placed.shape[1] else None
        return Measured(batch, scored, align_to(question, raw, model.classes), dense, holds_several(question))

    return measure


def _about(measured: Measured) -> dict[str, Any]:
    batch = measured.batch
    n_scored = int(measured.scored.sum())
    return {
        "imports": batch.imports,
        "since": batch.since.isoformat() if batch.since else None,
        "until": batch.until.isoformat() if batch.until else None,
        "n_items": batch.n_items,
        "n_sampled": len(batch.sample),
        "n_scored": n_scored,
        "shares": (measured.counts / n_scored).round(4).tolist() if n_scored else None,
    }


def _compare_said(reference: Measured, batch: Measured, rng: np.random.Generator) -> Comparison:
    """What the model says of the one and the other. Of several choices each is held against its absence by itself.

    Then the one that differs most counts, its p-value times the choices that were compared (Bonferroni).
    """
    from learning.algorithms.drift import compare_shares

    if not reference.is_several:
        return compare_shares(reference.counts, batch.counts, rng)
    sizes = int(reference.scored.sum()), int(batch.scored.sum())
    pairs = zip(reference.counts.tolist(), batch.counts.tolist(), strict=True)
    found = [compare_shares([a, sizes[0] - a], [b, sizes[1] - b], rng) for a, b in pairs]
    worst = min(found, key=lambda one: (one.p, -one.value))
    return replace(worst, p=min(1.0, worst.p * len(found)))


def _compare(reference: Measured, batch: Measured, number: int) -> dict[str, Any]:
    from learning.algorithms.drift import (
        compare_values,
        compare_vectors,
        count_bins,
        cut_points,
        stability_index,
    )

    rng = np.random.default_rng([SEED, 2, number])
    choices = certainty = contents = None
    strange: list[int] = []
    if min(reference.scored.sum(), batch.scored.sum()) >= MIN_SAMPLED:
        choices = _compare_said(reference, batch, rng)
        surest = reference.certainty, batch.certainty
        certainty = compare_values(*surest, rng)
        cuts = cut_points(surest[0])
        psi = float(stability_index(*(count_bins(values, cuts) for values in surest)))
    if reference.vectors is not None and batch.vectors is not None and len(batch.batch.sample) >= MIN_SAMPLED:
        found = compare_vectors(reference.vectors, batch.vectors, rng)
        contents = found.comparison
        strange = batch.batch.sample[np.argsort(-found.strangeness, kind="stable")[:MOST_STRANGE]].tolist()
    told = {
        name: None if one is None else {"value": round(one.value, 6), "p": one.p}
        for name, one in (("choices", choices), ("certainty", certainty), ("contents", contents))
    }
    if told["certainty"] is not None:
        told["certainty"]["psi"] = round(psi, 4)
    return {**_about(batch), "comparisons": told, "strange": strange}


def _adjust(batches: list[dict[str, Any]]) -> None:
    """Give each comparison its p-value among all of them."""
    from learning.algorithms.drift import adjust

    made = [one for batch in batches for one in batch["comparisons"].values() if one is not None]
    for one, adjusted in zip(made, adjust([one["p"] for one in made]), strict=True):
        one["adjusted"] = round(adjusted, 6)
