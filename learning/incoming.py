"""What a model was taught on, and what has come in since: imports as batches, and a fair sample of each. Read only.

The labels that teach a model are no fair sample: a strategy chose them. So imports are compared, all items alike. The
*reference* are those up to the one from which the middle of the model's training labels comes: at least half of what
taught it came with them. All later ones are compared with it.

A model is surer of what it was taught than of the rest, so that items of the pool cannot be compared with those that it
has not seen. The holdout can: a fifth of each import, set apart by chance when it came, which teaches no model ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from annotation.models import Import, Project
from learning.models import ModelVersion
from reviewers.columns import read_columns

MOST_SAMPLED = 2_000
MOST_BATCHES = 24
MOST_FOR_SPACE = 10_000
MOST_IMPORTS = 2**62
SEED = 0  # the same items give the same figures

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Imports that are looked at as one.

    Attributes
    ----------
    imports : int
        How many they are.
    since, until : datetime or None
        When the first and the last of them came; None where there are none.
    n_items : int
        All items of them that are shown.
    sample : ndarray of int64, (n_sampled,)
        Ids of items of the holdout by chance, ascending: at most 2,000, one of each group.
    """

    imports: int
    since: datetime | None
    until: datetime | None
    n_items: int
    sample: Ids


@dataclass(frozen=True, eq=False)
class Incoming:
    """The reference, the batches that came after it in their order, and items of the pool by chance.

    `unit`: what a batch is: an import, or those of a day or a month where there are more than 24. `n_left_out`: older
    months than the newest 24. `pool`: half of them of the reference and half of what came after, at most 10,000.
    """

    reference: Batch
    batches: list[Batch]
    unit: str
    n_left_out: int
    pool: Ids


def last_known_import(project: Project, model: ModelVersion, taught: Ids | None) -> int:
    """The last import of the reference; 0 where there is none.

    `taught`: the items whose labels taught the model; of a model from elsewhere (None) all that was there when its
    first scores came is taken to be known.
    """
    if taught is None:
        known = Import.objects.filter(project=project, is_visible=True, created_at__lte=model.created_at)
        return known.order_by("-pk").values_list("pk", flat=True).first() or 0
    rows = read_columns(
        "select i.imported_by_id as source from annotation_item i where i.id = any(%(items)s::bigint[])"
        " and i.project_id + 0 = %(project)s order by 1",
        {"items": taught.tolist(), "project": project.pk},
        source="int8",
    )["source"]
    return int(rows[(len(rows) - 1) // 2]) if len(rows) else 0


def find_incoming(project: Project, last_known: int) -> Incoming:
    """All imports of a project, those up to `last_known` as the reference."""
    imports = list(Import.objects.filter(project=project, is_visible=True).order_by("pk"))
    known = [one for one in imports if one.pk <= last_known]
    unit, groups, n_left_out = group_imports([one for one in imports if one.pk > last_known])
    sizes = _count_items(project)
    held = _Held(project)
    return Incoming(
        reference=_make_batch(known, sizes, held),
        batches=[_make_batch(group, sizes, held) for group in groups],
        unit=unit,
        n_left_out=n_left_out,
        pool=np.union1d(_some_of_pool(project, 0, last_known), _some_of_pool(project, last_known, MOST_IMPORTS)),
    )


def group_imports(imports: Sequence[Import]) -> tuple[str, list[list[Import]], int]:
    """Imports, in their order, as at most 24 batches: ("import", "day" or "month", the batches, how many are left out).

    Each by itself where they are few; else those of a day, else those of a month (UTC), of which the newest are taken.
    """
    if len(imports) <= MOST_BATCHES:
        return "import", [[one] for one in imports], 0
    by_day = [list(group) for _day, group in groupby(imports, key=lambda one: one.created_at.date())]
    if len(by_day) <= MOST_BATCHES:
        return "day", by_day, 0
    by_month = [list(group) for _month, group in groupby(imports, key=lambda one: f"{one.created_at:%Y-%m}")]
    return "month", by_month[-MOST_BATCHES:], max(0, len(by_month) - MOST_BATCHES)


class _Held:
    """The holdout of a project: which import each item came with, and its group."""

    def __init__(self, project: Project) -> None:
        rows = read_columns(
            """
            select i.id as item, i.imported_by_id as source,
              case when i."group" = '' then i.id else hashtextextended(i."group", 0) end as family
            from annotation_item i where i.project_id = %(project)s and i.split = 1 and i.lifecycle in (0, 1)
            order by i.id""",
            {"project": project.pk},
            item="int8",
            family="int8",
            source="int8",
        )
        self.items, self.imports, self.families = rows["item"], rows["source"], rows["family"]

    def draw(self, imports: Sequence[int]) -> Ids:
        """A sample by chance of the items that came with these imports, one of each group."""
        of_batch = np.isin(self.imports, np.asarray(imports, np.int64))
        _families, first = np.unique(self.families[of_batch], return_index=True)
        chosen = np.random.default_rng(SEED).permutation(first)[:MOST_SAMPLED]
        return np.asarray(np.sort(self.items[of_batch][chosen]), np.int64)


def _make_batch(imports: Sequence[Import], sizes: dict[int, int], held: _Held) -> Batch:
    numbers = [one.pk for one in imports]
    return Batch(
        imports=len(imports),
        since=imports[0].created_at if imports else None,
        until=imports[-1].created_at if imports else None,
        n_items=sum(sizes.get(number, 0) for number in numbers),
        sample=held.draw(numbers),
    )


def _count_items(project: Project) -> dict[int, int]:
    rows = read_columns(
        "select i.imported_by_id as source, count(*) as n from annotation_item i"
        " where i.project_id = %(project)s and i.lifecycle in (0, 1) group by 1 order by 1",
        {"project": project.pk},
        n="int8",
        source="int8",
    )
    return dict(zip(rows["source"].tolist(), rows["n"].tolist(), strict=True))


def _some_of_pool(project: Project, after: int, last: int) -> Ids:
    """Ids are random numbers, so that the lowest ones are a sample by chance."""
    rows = read_columns(
        "select i.id as item from annotation_item i where i.project_id = %(project)s and i.split = 0"
        " and i.lifecycle in (0, 1) and i.imported_by_id > %(after)s and i.imported_by_id <= %(last)s"
        " order by i.id limit %(most)s",
        {"project": project.pk, "after": after, "last": last, "most": MOST_FOR_SPACE // 2},
        item="int8",
    )
    return np.asarray(rows["item"], np.int64)
