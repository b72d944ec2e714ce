"""Starting without any label where few items are of the class that is looked for: how many of them are found.

A file is thinned until the class is as rare as it is in real traffic, and each strategy asks for its first 200 labels
from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.label_efficiency import score_model
from learning.algorithms.simulation import LabelledFile, find_labelled, run_rounds

RARE_SHARE = 0.02
BATCH = 20
BUDGETS = (40, 100, 200)


@dataclass(frozen=True, eq=False)
class ColdStart:
    """What a strategy found from nothing.

    Attributes
    ----------
    strategy : str
    found : ndarray of int64, (n_seeds, 3)
        Items of the class among the first 40, 100 and 200 labels.
    ap : ndarray of float64, (n_seeds,)
        Average precision on the holdout after 200 labels; the share of the class there while there is no model.
    """

    strategy: str
    found: NDArray[np.int64]
    ap: NDArray[np.float64]


def thin_out(file: LabelledFile, positive: int, rng: np.random.Generator, share: float = RARE_SHARE) -> LabelledFile:
    """The file with two classes, 1 for the one that is looked for, and so few of it that it is `share` of the rest.

    A class that is rarer already stays as it is. Items without a label are left out; so are votes, which are of more
    classes.
    """
    is_positive = file.y == positive if file.y.ndim == 1 else file.y[:, positive] == 1
    others = np.flatnonzero(find_labelled(file.y) & ~is_positive)
    kept = [others]
    for is_held in (False, True):
        here = np.flatnonzero(is_positive & (file.holdout == is_held))
        n_others = int((file.holdout[others] == is_held).sum())
        most = min(len(here), round(n_others * share / (1 - share)))
        kept.append(rng.permutation(here)[:most])
    rows = np.sort(np.concatenate(kept))
    return replace(
        file,
        X=file.X[rows],
        y=is_positive[rows].astype(np.int64),
        holdout=file.holdout[rows],
        n_classes=2,
        votes=None,
        similarity=None if file.similarity is None else file.similarity[rows],
    )


def compare_cold_starts(
    file: LabelledFile,
    strategies: Sequence[str],
    seeds: Sequence[int],
    tell: Callable[[str, int], object] | None = None,
) -> list[ColdStart]:
    """Let each strategy ask for 200 labels in batches of 20.

    Parameters
    ----------
    file : LabelledFile
        Two classes, as `thin_out` makes them; with the similarity to a policy where strategies are to use it.
    strategies : sequence of str
    seeds : sequence of int
    tell : callable, optional
        Told the strategy and the seed before each run.

    Returns
    -------
    list of ColdStart
    """
    starts = []
    for strategy in strategies:
        runs = []
        for seed in seeds:
            if tell is not None:
                tell(strategy, seed)
            runs.append(start_cold(file, strategy, seed))
        starts.append(join_starts(strategy, runs))
    return starts


def start_cold(file: LabelledFile, strategy: str, seed: int) -> tuple[list[int], float]:
    """What a strategy finds with one seed: items of the class by budget, and average precision at the end."""
    n_by_labels = {}
    model = None
    for step in run_rounds(file, strategy, [BATCH] * (BUDGETS[-1] // BATCH), seed=seed):
        n_by_labels[step.n_labels] = int((step.labels == 1).sum())
        model = step.model
    last = max(n_by_labels)
    found = [n_by_labels.get(budget, n_by_labels[last]) for budget in BUDGETS]
    return found, float(file.y[file.judges].mean()) if model is None else score_model(model, file, 1)["ap"]


def join_starts(strategy: str, runs: Sequence[tuple[list[int], float]]) -> ColdStart:
    """The runs of a strategy, one for each seed, as `start_cold` gives them."""
    return ColdStart(strategy, np.array([found for found, _ap in runs]), np.array([ap for _found, ap in runs]))
