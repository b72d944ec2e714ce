"""How many labels a query strategy saves: strategies side by side on one labelled file, over several seeds.

Seeds are paired: for the same seed all strategies start from the same first batch, and the holdout is the same one
throughout, so that a difference is the strategy's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from learning.algorithms.estimators import Model
from learning.algorithms.simulation import LabelledFile, Step, run_rounds
from learning.algorithms.thresholds import DEFAULT_THRESHOLD
from reviewers.algorithms.figures import Figure

FloatArray = NDArray[np.float64]
# The part of the full pool's figure that is asked for, and the labels over which areas are compared.
GOAL_SHARE = 0.95
HOLDOUT_SHARE = 0.2
AREA_LABELS = 1_500
FIGURES = ("macro_f1", "f1", "ap")


@dataclass(frozen=True, eq=False)
class StrategyCurve:
    """A strategy's figures on the holdout as labels come in.

    Attributes
    ----------
    strategy : str
    n_labels : ndarray of int64, (n_points,)
    figures : dict of str to ndarray of float64, (n_seeds, n_points)
        "macro_f1", "f1" and "ap" (of the class that is looked for), each 0 to 1; 0 where no model could be fitted. Of
        a rating also "mean_error" (points of the scale) and "kappa" (quadratic weights), nan and 0 there.
    n_positive : ndarray of int64, (n_seeds, n_points)
        Labels of the class that is looked for.
    f1_chosen : ndarray of float64, (n_seeds,)
        F1 of that class after the last round, at a threshold that was chosen on out-of-fold scores of the labels.
    n_random, n_votes : ndarray of int64, (n_points,)
        Labels that were drawn by chance, and answers that the labels took, in the run of the last seed.
    """

    strategy: str
    n_labels: NDArray[np.int64]
    figures: dict[str, FloatArray]
    n_positive: NDArray[np.int64]
    f1_chosen: FloatArray
    n_random: NDArray[np.int64]
    n_votes: NDArray[np.int64]

    def labels_to(self, figure: str, goal: float) -> int | None:
        """The first number of labels at which the mean over the seeds reaches a goal; None where none does."""
        reached = np.flatnonzero(self.figures[figure].mean(axis=0) >= goal)
        return int(self.n_labels[reached[0]]) if len(reached) else None

    def areas(self, most: int = AREA_LABELS) -> FloatArray:
        """Mean macro-F1 over the points up to so many labels, one for each seed."""
        return np.asarray(self.figures["macro_f1"][:, self.n_labels <= most].mean(axis=1))


@dataclass(frozen=True, eq=False)
class StrategyComparison:
    """Strategies on one file.

    Attributes
    ----------
    positive : int
        The class that is looked for.
    full : dict of str to float
        Figures of a model that was fitted on the whole pool.
    curves : tuple of StrategyCurve
    n_pool, n_holdout : int
    """

    positive: int
    full: dict[str, float]
    curves: tuple[StrategyCurve, ...]
    n_pool: int
    n_holdout: int

    def goal(self, figure: str) -> float:
        """95 % of the full pool's figure."""
        return GOAL_SHARE * self.full[figure]


@dataclass(frozen=True, eq=False)
class Run:
    """One strategy with one seed: figures after each round, and what they rest on."""

    n_labels: list[int]
    figures: list[dict[str, float]]
    n_positive: list[int]
    n_random: list[int]
    n_votes: list[int]
    f1_chosen: float


def rarest_class(y: ArrayLike) -> int:
    """The class with the fewest labels among those that occur; -1 is no class."""
    codes = np.asarray(y, np.int64)
    values, counts = np.unique(codes[codes >= 0], return_counts=True)
    return int(values[counts.argmin()])


def split_holdout(y: ArrayLike, rng: np.random.Generator, share: float = HOLDOUT_SHARE) -> NDArray[np.bool_]:
    """Which items judge: a share of each class, drawn by chance; items without a label (-1) never do."""
    codes = np.asarray(y, np.int64)
    holdout = np.zeros(len(codes), bool)
    for code in np.unique(codes[codes >= 0]):
        members = rng.permutation(np.flatnonzero(codes == code))
        holdout[members[: int(len(members) * share + 0.5)]] = True
    return holdout


def area_difference(curve: StrategyCurve, other: StrategyCurve, most: int = AREA_LABELS) -> Figure:
    """How much more area there is under one macro-F1 curve than under another, seed by seed.

    Parameters
    ----------
    curve, other : StrategyCurve
        Of the same seeds and the same budgets.
    most : int
        Labels over which the areas are taken.

    Returns
    -------
    Figure
        The mean difference of the seeds' areas (means of macro-F1 up to `most` labels), with a 95 % interval by
        Student's t over the paired seeds; refused for fewer than two seeds.
    """
    gaps = curve.areas(most) - other.areas(most)
    n_seeds = len(gaps)
    if n_seeds < 2:
        return Figure.refused("area_difference", "there is 1 seed, 2 needed", n_items=0, n_labels=0)
    half = float(stats.t.ppf(0.975, n_seeds - 1) * gaps.std(ddof=1) / np.sqrt(n_seeds))
    mean = float(gaps.mean())
    return Figure(
        metric="area_difference",
        value=mean,
        interval=(mean - half, mean + half),
        method=f"Student's t over {n_seeds} paired seeds",
        n_items=n_seeds,
        n_labels=most,
    )


def score_model(model: Model, file: LabelledFile, positive: int, scale: FloatArray | None = None) -> dict[str, float]:
    """Macro-F1 over the classes that occur, and F1 and average precision of one class, on the holdout.

    `scale`: the numbers of a rating's classes; then also how far off what is said is in the mean, and its agreement by
    kappa with quadratic weights (Cohen 1968).
    """
    from sklearn.metrics import average_precision_score, f1_score

    truth = file.y[file.judges]
    proba = model.predict_proba(file.X[file.judges])
    if file.is_several:
        said, is_positive = proba >= DEFAULT_THRESHOLD, truth[:, positive] == 1
        says_positive, occurring = said[:, positive], np.flatnonzero(truth.any(axis=0))
    else:
        said, is_positive = proba.argmax(axis=1), truth == positive
        says_positive, occurring = said == positive, np.unique(truth)
    found = {
        "macro_f1": float(f1_score(truth, said, average="macro", labels=occurring, zero_division=0.0)),
        "f1": float(f1_score(is_positive, says_positive, zero_division=0.0)),
        "ap": float(average_precision_score(is_positive, proba[:, positive])) if is_positive.any() else 0.0,
    }
    return found if scale is None else {**found, **score_distance(scale[truth], scale[said])}


def score_distance(truth: FloatArray, said: FloatArray) -> dict[str, float]:
    """How far numbers that are said are from the right ones: the mean error, and kappa with quadratic weights.

    Kappa is 0 where all numbers are the same one.

    Examples
    --------
    >>> score_distance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0]))["kappa"].__round__(3)
    0.667
    """
    # The mean square of the differences between all of the one and all of the other.
    by_chance = float(truth.var() + said.var() + (truth.mean() - said.mean()) ** 2)
    kappa = 1 - float(((truth - said) ** 2).mean()) / by_chance if by_chance else 0.0
    return {"mean_error": float(np.abs(truth - said).mean()), "kappa": kappa}


def score_at_threshold(model: Model | None, file: LabelledFile, positive: int) -> float:
    """F1 of one class on the holdout, at the threshold that was chosen for it on out-of-fold scores of the labels.

    0 where there is no model; at a threshold of 0.5 where the labels were too few to choose by.
    """
    from sklearn.metrics import f1_score

    if model is None:
        return 0.0
    thresholds = model.settings.get("thresholds")
    threshold = None if thresholds is None else thresholds[positive]
    said = model.predict_proba(file.X[file.judges])[:, positive] >= (
        DEFAULT_THRESHOLD if threshold is None else threshold
    )
    return float(f1_score(_is_class(file.y[file.judges], positive), said, zero_division=0.0))


def _is_class(y: NDArray[np.int64], code: int) -> NDArray[np.bool_]:
    """Which items are of the class, of codes or of rows of 0 and 1."""
    return np.asarray(y == code if y.ndim == 1 else y[:, code] == 1)


def compare_strategies(
    file: LabelledFile,
    strategies: Sequence[str],
    batches: Sequence[int],
    *,
    positive: int,
    seeds: Sequence[int],
    random_share: float = 0.0,
    tell: Callable[[str, int, Step], Any] | None = None,
) -> StrategyComparison:
    """Run every strategy with every seed and judge each model.

    Parameters
    ----------
    file : LabelledFile
    strategies : sequence of str
        Of `strategies.REGISTRY`.
    batches : sequence of int
        Items asked in each round.
    positive : int
        The class that is looked for.
    seeds : sequence of int
    random_share : float
        Share of each later batch that is drawn by chance.
    tell : callable, optional
        Told the strategy, the seed and each step.

    Returns
    -------
    StrategyComparison

    Raises
    ------
    ValueError
        If no strategy has a name, or the file does not fit.
    TooFewClassesError
        If only one class occurs in the pool.
    """
    whole = score_whole(file, positive)
    curves = []
    for strategy in strategies:
        runs = []
        for seed in seeds:

            def tell_step(step: Step, strategy: str = strategy, seed: int = seed) -> None:
                if tell is not None:
                    tell(strategy, seed, step)

            runs.append(
                run_strategy(file, strategy, batches, positive=positive, seed=seed, share=random_share, tell=tell_step)
            )
        curves.append(join_runs(strategy, runs))
    return StrategyComparison(positive, whole, tuple(curves), len(file.pool), len(file.judges))


def score_whole(file: LabelledFile, positive: int, scale: FloatArray | None = None) -> dict[str, float]:
    """Figures of a model that is fitted on the whole pool. Raises TooFewClassesError."""
    hidden = file.holdout if file.y.ndim == 1 else file.holdout[:, np.newaxis]
    return score_model(file.fit(np.where(hidden, -1, file.y), ~file.holdout, 0), file, positive, scale)


def run_strategy(
    file: LabelledFile,
    strategy: str,
    batches: Sequence[int],
    *,
    positive: int,
    seed: int,
    share: float = 0.0,
    scale: FloatArray | None = None,
    tell: Callable[[Step], Any] | None = None,
) -> Run:
    """Run a strategy with one seed and judge each model. `share`: of each later batch, drawn by chance."""
    nothing = dict.fromkeys(FIGURES, 0.0) | ({} if scale is None else {"mean_error": np.nan, "kappa": 0.0})
    steps, figures = [], []
    for step in run_rounds(file, strategy, batches, seed=seed, random_share=share):
        figures.append(nothing if step.model is None else score_model(step.model, file, positive, scale))
        steps.append(step)
        if tell is not None:
            tell(step)
    return Run(
        [step.n_labels for step in steps],
        figures,
        [int(_is_class(step.labels, positive).sum()) for step in steps],
        [step.n_random for step in steps],
        [step.n_votes for step in steps],
        score_at_threshold(steps[-1].model, file, positive),
    )


def join_runs(strategy: str, runs: Sequence[Run]) -> StrategyCurve:
    """The curve of a strategy, of one run for each seed."""
    last = runs[-1]
    return StrategyCurve(
        strategy,
        np.array(last.n_labels),
        {name: np.array([[point[name] for point in run.figures] for run in runs]) for name in last.figures[0]},
        np.array([run.n_positive for run in runs]),
        np.array([run.f1_chosen for run in runs]),
        np.array(last.n_random),
        np.array(last.n_votes),
    )
