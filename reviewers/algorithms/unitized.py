"""Unitized alpha: how far people agree who cut pieces out of a text or a recording and name them, beyond chance.

A continuum is divided by each person into units, each with a label, and the gaps between them. Both where the units are
and what they are called count, by length. It is the alpha of which F1 and intersection over union know nothing: what
chance would give is taken off, and so that a unit is one decision, pieces of one unit are never paired with each other
when chance is reckoned.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from reviewers.algorithms.agreement import NO_PAIRS, ONE_CLASS, InsufficientOverlapError
from reviewers.algorithms.bootstrap import FloatArray, bootstrap_intervals, check_resamples, unseen_share
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.mark_agreement import Stretch

_ROUNDING = 1e-9  # of a length: what is left of a recording after sums of seconds is no gap
METRICS = ("alpha_u", "alpha_u_binary")
NO_LENGTH = "how long the text or recording is, is not known"
OVERLAPPING = "on every item somebody's own marks overlap under different labels"
_METHODS = {
    "alpha_u": "Krippendorff's unitized alpha, units with their labels and gaps",
    "alpha_u_binary": "Krippendorff's unitized alpha, units of any label against gaps",
}


class OverlapError(ValueError):
    """One person gave two labels to the same place: that divides no continuum."""


@dataclass(frozen=True, slots=True)
class Continuum:
    """What people divided: one item.

    `lengths`: how long each part is that could be marked, in characters or seconds; one whose last unit ends later ends
    there. `answers`: each person's units, their parts among `lengths`.
    """

    lengths: Mapping[Any, float]
    answers: Sequence[Sequence[Stretch]]


def unitized_alpha(continua: Sequence[Continuum], grain: float = 1.0) -> tuple[float, float]:
    """Krippendorff's alpha for units and gaps, with labels and without.

    Parameters
    ----------
    continua : sequence of Continuum
        Laid end to end. Those that fewer than two people divided count nowhere; how many did may differ.
    grain : float
        The length of the least piece that there is: 1 for characters. Only the correction of gaps depends on it.

    Returns
    -------
    (float, float)
        At most 1: 1 perfect, 0 chance, below 0 systematic disagreement; nan where nobody left a gap or marked anything
        (the first one also where all is one label). The first counts a place as alike where both have a unit of the
        same label or both a gap, the second where both have a unit or both a gap.

    Raises
    ------
    InsufficientOverlapError
        If no item has two answers.
    OverlapError
        If one person's units with different labels overlap. Those with one label count as one unit where they do.

    Notes
    -----
    With l_ck the length on which one person says c and another k, over all ordered pairs of the m people and divided by
    ``m - 1``, l_c its sums (a gap is one more label) and l their sum, ``alpha = 1 - (l - sum_c l_cc) / (l - sum_c
    e_cc)``, where ``e_cc = l (l_c^2 - s_c) / (l^2 - sum_k s_k)`` is what chance would give. s_c takes off what cannot
    be paired by chance: the square of each unit's length; for gaps, which have no structure, their length (times the
    grain). The binary one sums the same coincidences over all labels: ``1 - (l_gap - l_gap,gap) / (e_gap -
    e_gap,gap)``. With units of the length of the grain alone it is Krippendorff's nominal alpha, each piece a unit of
    analysis.

    cu-alpha, the third of the family, is not here: sources that can be read differ about it for more than two people.

    References
    ----------
    Krippendorff, Mathet, Bouvry and Widloecher (2016), On the reliability of unitizing textual continua: further
    developments, Quality & Quantity 50:2347-2364, doi:10.1007/s11135-015-0266-1; Krippendorff (2019), Content Analysis,
    4th edition, section 12.6.

    Examples
    --------
    >>> answers = [[Stretch("t", "x", 0, 4)], [Stretch("t", "x", 2, 6)]]
    >>> round(unitized_alpha([Continuum({"t": 10}, answers)])[0], 3)
    0.258
    """
    sums = [_sum_up(one, grain) for one in continua if len(one.answers) > 1]
    if not sums:
        raise InsufficientOverlapError
    nominal, binary = _alphas(_table(sums))(np.ones((1, len(sums))))
    return float(nominal[0]), float(binary[0])


def unitized_alphas_of(
    continua: Sequence[Continuum | None],
    *,
    rng: np.random.Generator,
    grain: float = 1.0,
    n_annotators: int | None = None,
    n_resamples: int = 1000,
) -> list[Figure]:
    """Both alphas of `unitized_alpha` with 95 % intervals or named refusals.

    Parameters
    ----------
    continua : sequence of Continuum or None
        None for an item whose length is not known. It is left out, and so are items on which somebody's own units
        overlap under different labels; the method says of how many.
    rng : numpy.random.Generator
        Source of the bootstrap over items.
    grain : float
        As in `unitized_alpha`.
    n_annotators : int, optional
        How many people there were, where that is known.
    n_resamples : int
        At least 1000.

    Returns
    -------
    list of Figure
        ``alpha_u`` and ``alpha_u_binary``. Refused where no item has two answers, where of none the length is known,
        where on all somebody's marks overlap, and where only one class occurs. Where all divided every item in the same
        way the lower end is what Clopper and Pearson's bound leaves, each item that may be otherwise counted as
        different from end to end.

    Raises
    ------
    ValueError
        If there are too few resamples.
    """
    check_resamples(n_resamples)
    known = [one for one in continua if one is not None and len(one.answers) > 1]
    n_unknown = sum(one is None for one in continua)
    sums, n_overlapping, n_labels = [], 0, 0
    for one in known:
        try:
            sums.append(_sum_up(one, grain))
        except OverlapError:
            n_overlapping += 1
        else:
            n_labels += len(one.answers)
    size: dict[str, Any] = {
        "n_items": len(sums),
        "n_labels": n_labels,
        "n_annotators": n_annotators if sums else 0,
    }
    if not sums:
        told = OVERLAPPING if n_overlapping else NO_LENGTH if n_unknown else NO_PAIRS
        return [Figure.refused(name, told, **size) for name in METRICS]
    rows = _table(sums)
    distinct, n_items = np.unique(rows, axis=0, return_counts=True)
    compute = _alphas(distinct)
    values = [float(found[0]) for found in compute(n_items[np.newaxis].astype(np.float64))]
    how = f"percentile bootstrap over items, {n_resamples} resamples"
    intervals = bootstrap_intervals(n_items.astype(np.int64), compute, n_resamples, rng)
    left_out = "".join(
        f"; {n} item{'s' * (n > 1)} left out: {why}"
        for n, why in ((n_unknown, "length not known"), (n_overlapping, "somebody's own marks overlap"))
        if n
    )
    figures = []
    for name, value, interval, reach in zip(METRICS, values, intervals, _reaches(rows), strict=True):
        if np.isnan(value):
            figures.append(Figure.refused(name, ONE_CLASS, **size))
            continue
        told = how
        if value == 1.0:
            interval, told = (1 - unseen_share(len(sums)) * reach, 1.0), "exact bound, no difference seen"
        method = f"{_METHODS[name]}; {told}{left_out}"
        figures.append(Figure(metric=name, value=value, interval=interval, method=method, **size))
    return figures


# --- One continuum ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sums:
    """What one continuum adds, in lengths: all that people divided; alike; alike gaps; what chance cannot pair.

    `of` is the length of each label over all people; what is left of `total` are gaps.
    """

    total: float = 0.0
    apart: float = 0.0
    apart_binary: float = 0.0
    unpaired: float = 0.0
    of: defaultdict[Hashable, float] = field(default_factory=lambda: defaultdict(float))


def _sum_up(continuum: Continuum, grain: float) -> _Sums:
    sums = _Sums()
    for part, length in continuum.lengths.items():
        answers = [_join([one for one in answer if one.part == part]) for answer in continuum.answers]
        end = max([length, *(one.end for answer in answers for one in answer)])
        _add_part(sums, end, answers, grain)
    return sums


def _join(units: list[Stretch]) -> list[Stretch]:
    """In order; units of one label that overlap as one. Those that only touch are two."""
    joined: list[Stretch] = []
    for one in sorted(units, key=lambda unit: (unit.start, unit.end)):
        if joined and one.start < joined[-1].end:
            if one.label != joined[-1].label:
                raise OverlapError
            joined[-1] = joined[-1]._replace(end=max(one.end, joined[-1].end))
        else:
            joined.append(one)
    return joined


def _add_part(sums: _Sums, length: float, answers: list[list[Stretch]], grain: float) -> None:
    m = len(answers)
    sums.total += m * length
    covered = 0.0
    changes: list[tuple[float, int, Hashable]] = []
    for answer in answers:
        for one in answer:
            long = one.end - one.start
            covered += long
            sums.of[one.label] += long
            sums.unpaired += long * long
            changes += [(one.start, 1, one.label), (one.end, -1, one.label)]
    sums.unpaired += grain * (m * length - covered)
    changes.sort(key=lambda change: change[0])
    # From one boundary to the next everybody says one thing: how many say what.
    said: Counter[Hashable] = Counter()
    n_units = 0
    for (place, step, label), (following, _step, _label) in pairwise(changes):
        said[label] += step
        n_units += step
        wide = following - place
        if wide > 0 and n_units:
            n_gaps = m - n_units
            alike = n_gaps * n_gaps + sum(n * n for n in said.values())
            sums.apart += wide * (m * m - alike) / (m - 1)
            sums.apart_binary += wide * 2 * n_gaps * n_units / (m - 1)


# --- All of them -----------------------------------------------------------------------------------------------------


def _table(sums: Sequence[_Sums]) -> FloatArray:
    """One row a continuum: total, apart, apart of units and gaps, unpaired, gaps, and the length of each label."""
    labels = sorted({label for one in sums for label in one.of}, key=repr)
    rows = np.zeros((len(sums), 5 + len(labels)))
    for row, one in zip(rows, sums, strict=True):
        lengths = [one.of[label] for label in labels]
        gaps = one.total - sum(lengths)
        row[:4] = one.total, one.apart, one.apart_binary, one.unpaired
        row[4:] = [gaps if gaps > _ROUNDING * one.total else 0.0, *lengths]
    return rows


def _alphas(rows: FloatArray) -> Callable[[FloatArray], list[FloatArray]]:
    """From how often each row is drawn, (n_resamples, n_rows), to both alphas."""

    def compute(weights: FloatArray) -> list[FloatArray]:
        drawn = weights @ rows
        # Written as 1 - disagreement so that perfect agreement is 1 to the last bit.
        return [1 - drawn[:, at] / expected for at, expected in enumerate(_expected(drawn), start=1)]

    return compute


def _expected(drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The disagreement that chance would give, with labels and without, from sums of rows; nan for one class."""
    total, unpaired, gaps, lengths = drawn[:, 0], drawn[:, 3], drawn[:, 4], drawn[:, 4:]
    scale = np.full(len(drawn), np.nan)
    is_defined = (lengths > 0).sum(axis=1) > 1
    scale[is_defined] = total[is_defined] / (total * total - unpaired)[is_defined]
    binary = 2 * scale * gaps * (total - gaps)
    binary[~(binary > 0)] = np.nan
    return scale * (total * total - (lengths * lengths).sum(axis=1)), binary


def _reaches(rows: FloatArray) -> list[float]:
    """How far below 1 each alpha is where everybody differs everywhere, chance being as it is."""
    drawn = rows.sum(axis=0, keepdims=True)
    return [float(drawn[0, 0] / expected[0]) for expected in _expected(drawn)]
