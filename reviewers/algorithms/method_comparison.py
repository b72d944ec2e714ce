"""Every consensus method on the same labels, side by side: how often each is right, and where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from reviewers.algorithms.bootstrap import Interval, bootstrap_intervals
from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray, UnfitLabelsError
from reviewers.algorithms.dawid_skene import dawid_skene
from reviewers.algorithms.glad import glad
from reviewers.algorithms.mace import mace
from reviewers.algorithms.majority import majority_vote, weighted_vote
from reviewers.algorithms.one_coin import one_coin

METHODS: Mapping[str, Callable[[CrowdLabels], Consensus]] = {
    "majority": majority_vote,
    "weighted_vote": weighted_vote,
    "one_coin": one_coin,
    "mace": mace,
    "dawid_skene": dawid_skene,
    "glad": glad,
}
_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class MethodScore:
    """What one method made of the labels.

    Attributes
    ----------
    method : str
    refusal : str
        Why it cannot say anything of these labels; "" where it can. Then the rest is None or 0.
    n_truth : int
        Items whose true value is known and that have a label.
    right : float or None
        Share of these that came out right, a tie of k values that holds the true one as 1/k; None without any.
    interval : (float, float) or None
        Its 95 % interval: percentile bootstrap over items.
    gain, gain_interval : float or None, (float, float) or None
        Right more often than the majority by so much, and its interval, over the same resamples.
    n_tied : int
        Items on which two values or more are equally likely.
    n_unlike_majority : int
        Items on which another value stands than the majority's; a tie is like nothing but the same tie.
    """

    method: str
    refusal: str = ""
    n_truth: int = 0
    right: float | None = None
    interval: Interval = None
    gain: float | None = None
    gain_interval: Interval = None
    n_tied: int = 0
    n_unlike_majority: int = 0


def compare_methods(labels: CrowdLabels, truth: Mapping[int, int], rng: np.random.Generator) -> Iterator[MethodScore]:
    """Yield the score of each method, the majority's first, as soon as it is done.

    `truth`: item id to value code; items that nobody labelled are passed over. Gold in `labels` would tell the methods
    the answers: leave it out there. Labels that tell nothing of anybody's skill (none, no overlap, one class) leave the
    votes alone; the other methods refuse, with the reason.
    """
    vote = majority_vote(labels)
    known = [(row, truth[int(item)]) for row, item in enumerate(labels.item_ids) if int(item) in truth]
    rows = np.array([row for row, _value in known], np.int64)
    values = np.array([value for _row, value in known], np.int64)

    def score_items(consensus: Consensus) -> FloatArray:
        best = consensus.is_best[rows]
        shares: FloatArray = best[np.arange(len(rows)), values] / best.sum(axis=1)
        return shares

    base = score_items(vote) if known else np.zeros(0)
    for name, method in METHODS.items():
        try:
            consensus = vote if name == "majority" else method(labels)
        except UnfitLabelsError as error:
            yield MethodScore(method=name, refusal=str(error), n_truth=len(known))
            continue
        own = score_items(consensus) if known else np.zeros(0)
        interval, gain_interval = _intervals(own, base, rng) if known else (None, None)
        yield MethodScore(
            method=name,
            n_truth=len(known),
            right=float(own.mean()) if known else None,
            interval=interval,
            gain=float((own - base).mean()) if known and name != "majority" else None,
            gain_interval=None if name == "majority" else gain_interval,
            n_tied=int(consensus.is_tied.sum()),
            n_unlike_majority=int((consensus.is_best != vote.is_best).any(axis=1).sum()) if labels.n_items else 0,
        )


def _intervals(own: FloatArray, base: FloatArray, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """Of the share that is right, and of what it has over the majority."""
    kinds, n_items = np.unique(np.column_stack([own, base]), axis=0, return_counts=True)
    n = len(own)
    right, gain = bootstrap_intervals(
        n_items.astype(np.int64),
        lambda weights: (weights @ kinds[:, 0] / n, weights @ (kinds[:, 0] - kinds[:, 1]) / n),
        _RESAMPLES,
        rng,
    )
    return right, gain
