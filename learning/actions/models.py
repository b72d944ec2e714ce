"""Models and their scores: kept, built beside the old ones, turned current in one short transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.actions.events import write_event
from annotation.errors import InvalidError, StateError
from annotation.models import Project, User
from learning.algorithms.thresholds import DEFAULT_THRESHOLD
from learning.model_files import remove_proba, remove_strays, store_weights
from learning.models import ModelVersion, Round
from reviewers.answers import compiled_schema, questions_by_id

# Of models trained here, by their estimator. The bare name of any of them asks for training.
TRAINED_NAMES = {
    "logistic": "touchstone-logistic",
    "embedding_bag": "touchstone-embedding-bag",
    "cnn": "touchstone-cnn",
    "fusion": "touchstone-fusion",
}
BATCH = 50_000

Check = Callable[[], Any]


def keep_model(
    *,
    round: Round,
    check: Check,
    estimator: str,
    data: bytes,
    digest: str,
    classes: Sequence[int],
    n_train: int,
    evaluation: Mapping[str, Any],
) -> ModelVersion:
    """Store what a round has fitted, as the next version ("1", "2", ...) or in the place of the round's earlier try.

    `estimator`: a key of `TRAINED_NAMES`; versions are counted over all of them, so that each says which came later.
    The file is on disk before the row says so. Not current yet. `check` is the job's: it raises where another attempt
    has taken over.
    """
    earlier = round.model_version
    version = earlier.version if earlier is not None else _next_version(round)
    path = store_weights(round, version, data, digest)
    fields: dict[str, Any] = {
        "name": TRAINED_NAMES[estimator],
        "classes": list(classes),
        "n_train": n_train,
        "path": path,
        "sha256": digest,
        "seed": round.seed,
        "evaluation": dict(evaluation),
    }
    with transaction.atomic():
        check()
        if earlier is not None:
            ModelVersion.objects.filter(pk=earlier.pk).update(**fields)
            model = ModelVersion.objects.get(pk=earlier.pk)
        else:
            model = ModelVersion.objects.create(
                project=round.project,
                question=round.question,
                kind=_kind_of(round.project, round.question),
                version=version,
                origin=ModelVersion.Origin.TRAINED,
                **fields,
            )
            write_event(project=round.project, kind="model.kept", actor=None, ref_id=model.pk)
        Round.objects.filter(pk=round.pk).update(model_version=model)
    round.model_version = model
    return model


def _next_version(round_: Round) -> str:
    taken = ModelVersion.objects.filter(
        project=round_.project, question=round_.question, origin=ModelVersion.Origin.TRAINED
    ).values_list("version", flat=True)
    return str(1 + max((int(version) for version in taken if version.isdigit()), default=0))


def _kind_of(project: Project, question: int) -> str:
    kind: str = questions_by_id(compiled_schema(project))[question]["kind"]
    return kind


def ensure_external_model(
    *, project: Project, question: int, name: str, version: str, classes: Sequence[int], is_barred: bool = False
) -> ModelVersion:
    """The row of an outside model, made on its first prediction; `is_barred`: it has to pass before it can be current.

    Raises InvalidError where the version was sent under another list of choices: its old scores would not compare.
    """
    kind = _kind_of(project, question)
    model, _is_new = ModelVersion.objects.get_or_create(
        project=project,
        question=question,
        name=name,
        version=version,
        defaults={
            "kind": kind,
            "origin": ModelVersion.Origin.EXTERNAL,
            "classes": list(classes),
            "is_barred": is_barred,
        },
    )
    if (model.kind, list(model.classes)) != (kind, list(classes)):
        raise InvalidError(
            _(
                "The choices or the scale of this question have changed since this version was first sent. Send a new"
                " `version`."
            )
        )
    return model


def write_scores(
    *,
    model: ModelVersion,
    items: NDArray[np.int64],
    proba: NDArray[np.float64],
    utilities: NDArray[np.float64],
    classes: Sequence[int],
    check: Check,
    is_sent: bool = False,
    is_several: bool = False,
) -> None:
    """Store scores of items under a model version, in batches, each a short transaction; what is there is replaced.

    `classes` are the choices behind the columns of `proba`. `is_sent`: keep the full probabilities in the row, as
    nothing else holds them. `is_several`: several choices may hold of an item; those of 0.5 or more are what is said,
    and its probability is that of the least sure choice in it. Safe to repeat.
    """
    codes = np.asarray(classes, np.int64)
    order = np.argsort(items)  # so that an index is written from one end to the other
    for start in range(0, len(items), BATCH):
        part = order[start : start + BATCH]
        some = proba[part]
        top = some.argmax(axis=1)
        said = some[np.arange(len(top)), top]
        if is_several:
            said = np.maximum(some, 1 - some).min(axis=1)
        data = _spell_rows(
            items[part],
            codes[top],
            np.clip(said, 0, 1),
            utilities[part],
            np.where(some >= DEFAULT_THRESHOLD, codes, 0) if is_several else None,
            some if is_sent else None,
        )
        with transaction.atomic():
            check()
            with connection.cursor() as cursor:
                cursor.execute(_BATCH_TABLE)
                with cursor.copy("copy score_batch from stdin (format binary)") as copy:
                    copy.write(data)
                cursor.execute(_TAKE_BATCH, [model.pk])


_BATCH_TABLE = """
    create temporary table if not exists score_batch
      (item bigint, choice int, probability float8, utility float8, choices int[], proba float8[])
      on commit delete rows;
    delete from score_batch
"""
_TAKE_BATCH = """
    insert into learning_score (item_id, model_version_id, choice, choices, probability, utility, proba)
    select item, %s, choice, array_remove(choices, 0), probability, utility, proba from score_batch
    on conflict (item_id, model_version_id) do update set choice = excluded.choice, choices = excluded.choices,
      probability = excluded.probability, utility = excluded.utility,
      proba = coalesce(excluded.proba, learning_score.proba)
    where (learning_score.choice, learning_score.choices, learning_score.probability, learning_score.utility,
           learning_score.proba)
      is distinct from (excluded.choice, excluded.choices, excluded.probability, excluded.utility,
                        coalesce(excluded.proba, learning_score.proba))
"""
_INT4, _FLOAT8 = 23, 701  # the types' numbers in PostgreSQL


def _spell_rows(
    items: NDArray[np.int64],
    choices: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    utilities: NDArray[np.float64],
    held: NDArray[np.int64] | None,
    proba: NDArray[np.float64] | None,
) -> bytes:
    """Rows of `score_batch` as a binary COPY has them, every value with its length before it: written by numpy.

    `held` and `proba` are arrays in each row, (n_items, n_classes), or nulls.
    """
    columns: list[tuple[str, Any, NDArray[Any]]] = [
        ("item", ">i8", items),
        ("choice", ">i4", choices),
        ("probability", ">f8", probabilities),
        ("utility", ">f8", utilities),
    ]
    arrays = [("choices", ">i4", _INT4, held), ("proba", ">f8", _FLOAT8, proba)]
    fields: list[Any] = [("n", ">i2")]
    for name, kind, _values in columns:
        fields += [(f"{name} length", ">i4"), (name, kind)]
    for name, kind, _type, table in arrays:
        fields.append((f"{name} length", ">i4"))
        if table is not None:
            one = [("length", ">i4"), ("value", kind)]
            fields += [(f"{name} head", ">i4", (5,)), (name, one, (table.shape[1],))]
    rows = np.zeros(len(items), np.dtype(fields))
    rows["n"] = len(columns) + len(arrays)
    for name, kind, values in columns:
        rows[f"{name} length"] = np.dtype(kind).itemsize
        rows[name] = values
    for name, kind, type_, table in arrays:
        rows[f"{name} length"] = -1
        if table is not None:
            n_classes, size = table.shape[1], np.dtype(kind).itemsize
            rows[f"{name} head"] = (1, 0, type_, n_classes, 1)  # dimensions, no nulls, what of, how many, counted from
            rows[f"{name} length"] = 4 * 5 + (4 + size) * n_classes
            rows[name]["length"] = size
            rows[name]["value"] = table
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"


def refuse_barred(model: ModelVersion) -> None:
    """Raise StateError for a language model that has not passed its gate: nothing that it says is shown."""
    if model.is_barred:
        raise StateError(
            _("%(model)s has not passed on answers that are known, so it cannot be the current model.")
            % {"model": model}
        )


def make_current(
    *, model: ModelVersion, check: Check, evaluation: Mapping[str, Any] | None = None, actor: User | None = None
) -> None:
    """The swap: from this commit on, this model's scores are the ones shown. `evaluation` replaces the stored figures.

    `actor`: who wanted this very model; None where a round or what was sent in made it the current one. Raises
    StateError for a language model that has not passed its gate.
    """
    with transaction.atomic():
        check()
        kept = ModelVersion.objects.select_for_update(no_key=True).get(pk=model.pk)  # a language model notes costs
        refuse_barred(kept)
        others = ModelVersion.objects.filter(project=model.project, question=model.question, is_current=True)
        others.exclude(pk=model.pk).update(is_current=False)
        fields = {} if evaluation is None else {"evaluation": {**(kept.evaluation or {}), **evaluation}}
        promotion = {} if actor is None else {"promoted_by": actor, "promoted_at": Now()}
        changed = ModelVersion.objects.filter(pk=model.pk, is_current=False).update(is_current=True, **promotion)
        if fields:
            ModelVersion.objects.filter(pk=model.pk).update(**fields)
        if changed:
            write_event(project=model.project, kind="model.turned_current", actor=actor, ref_id=model.pk)
    model.is_current = True


def remove_old_scores(*, project: Project, question: int, check: Check) -> None:
    """Remove the scores of models trained here that are no longer current, in batches; weights and versions stay.

    Scores that were sent in stay as well: nothing else holds them. Files that kills left go too.
    """
    old = ModelVersion.objects.filter(
        project=project, question=question, origin=ModelVersion.Origin.TRAINED, is_current=False
    )
    for model in old:
        after: float | None = float("inf")
        while after is not None:
            with transaction.atomic():
                check()
                with connection.cursor() as cursor:
                    cursor.execute(_REMOVE_SCORES, [model.pk, after, BATCH])
                    (after,) = cursor.fetchone() or (None,)
        remove_proba(model)
    with transaction.atomic():
        check()
        for model in ModelVersion.objects.filter(project=project, question=question).exclude(path=""):
            remove_strays(model)


# From the highest utility down: what a batch has left dead, the next one does not pass again. Places as an array are
# looked up one by one; joined, the planner may read the whole table for each batch.
_REMOVE_SCORES = """
    with batch as (
      select ctid as place from learning_score
      where model_version_id = %s and utility <= %s order by utility desc, item_id limit %s),
    gone as (delete from learning_score where ctid = any (array (select place from batch)) returning utility)
    select min(utility) from gone
"""
