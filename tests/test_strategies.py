"""Query strategies against hand-worked values, batches by their properties, and modAL's adapter."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from learning.algorithms import modal_adapter, strategies
from learning.algorithms.strategies import draw_batch, select_batch, utilities_of
from learning.algorithms.strategies.uncertainty import entropy, least_confident, margin

UNCERTAINTY = {"margin": margin, "entropy": entropy, "least_confident": least_confident}
PROBA = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """In a fresh interpreter, where nothing of modAL has been imported."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_measures_are_as_worked_by_hand() -> None:
    np.testing.assert_allclose(least_confident(PROBA), [0.5, 0.6, 0, 2 / 3])
    np.testing.assert_allclose(margin(PROBA), [0.8, 1, 0, 1])
    expected = [-(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2)), 1.054920, 0, np.log(3)]
    np.testing.assert_allclose(entropy(PROBA), expected, atol=1e-6)


@pytest.mark.parametrize("strategy", UNCERTAINTY)
def test_utilities_do_not_depend_on_the_order_of_classes(strategy: str) -> None:
    proba = rng().dirichlet([1, 1, 1, 1], size=50)
    found = utilities_of(strategy, proba, rng())
    np.testing.assert_allclose(utilities_of(strategy, proba[:, [2, 0, 3, 1]], rng()), found)


def test_two_classes_are_ranked_alike_by_all_measures() -> None:
    share = rng().random(100)
    orders = [np.argsort(utilities_of(name, np.c_[share, 1 - share], rng())).tolist() for name in UNCERTAINTY]
    assert orders[0] == orders[1] == orders[2]


def test_single_precision_will_do() -> None:
    found = margin(PROBA.astype(np.float32))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, margin(PROBA), atol=1e-6)


@pytest.mark.parametrize("measure", UNCERTAINTY.values())
def test_nothing_to_score_is_no_error(measure: object) -> None:
    assert callable(measure)
    assert measure(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("proba", "message"),
    [
        ([[0.5, 0.6]], "each row of probabilities must be non-negative and sum to 1"),
        ([[1.5, -0.5]], "each row of probabilities must be non-negative and sum to 1"),
        ([[np.nan, 1.0]], "each row of probabilities must be non-negative and sum to 1"),
        ([[1.0]], r"probabilities must be \(n_items, n_classes\) with at least 2 classes, not \(1, 1\)"),
        ([0.5, 0.5], r"probabilities must be \(n_items, n_classes\) with at least 2 classes, not \(2,\)"),
    ],
)
def test_what_is_no_probability_is_refused(proba: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        margin(proba)  # type: ignore[arg-type]


def test_unknown_strategy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"^no query strategy is called 'psychic'; there are adaptive, margin, .*random$"
    ):
        utilities_of("psychic", PROBA, rng())


def test_most_uncertain_item_comes_first() -> None:
    batch = draw_batch("margin", [[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.5, 0.5]], 3, 0.0, rng())
    assert batch.index.tolist() == [3, 1, 2]
    assert batch.rank.tolist() == [1, 2, 3]
    np.testing.assert_allclose(batch.utility, [1.0, 0.9, 0.4])
    assert np.isnan(batch.probability).all()


@settings(deadline=None)
@given(
    utilities=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=30),
    n=st.integers(0, 40),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_batches_keep_their_promises(utilities: list[float], n: int, share: float, seed: int) -> None:
    values = np.array(utilities)
    batch = select_batch(values, n, share, rng(seed))
    n_picks = min(n, len(values))
    n_random = int(np.floor(n_picks * share + 0.5))
    assert len(set(batch.index.tolist())) == len(batch.index) == n_picks
    assert batch.is_random.sum() == n_random
    np.testing.assert_array_equal(batch.utility, values[batch.index])
    by_utility = batch.utility[~batch.is_random]
    np.testing.assert_array_equal(by_utility, np.sort(values)[::-1][: n_picks - n_random])
    assert np.isnan(batch.probability[~batch.is_random]).all()
    n_left = len(values) - (n_picks - n_random)
    np.testing.assert_allclose(batch.probability[batch.is_random], n_random / max(1, n_left))


def test_same_seed_gives_the_same_batch() -> None:
    utilities = rng(1).integers(0, 3, 100)
    first, again, other = (select_batch(utilities, 20, 0.3, rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.index, again.index)
    assert first.index.tolist() != other.index.tolist()


def count_inclusions(utilities: list[float], n: int, share: float) -> NDArray[np.int64]:
    source = rng()
    picks = np.concatenate([select_batch(utilities, n, share, source).index for _ in range(4000)])
    return np.bincount(picks, minlength=len(utilities))


def test_ties_are_broken_by_chance_alone() -> None:
    included = count_inclusions([1.0, 0.5, 0.5, 0.5, 0.5, 0.0], 3, 0.0) / 4000
    np.testing.assert_allclose(included, [1, 0.5, 0.5, 0.5, 0.5, 0], atol=0.03)


def test_tied_picks_are_served_in_random_order() -> None:
    source = rng()
    firsts = [select_batch([0.5, 0.9, 0.9], 2, 0.0, source).index[0] for _ in range(2000)]
    np.testing.assert_allclose(np.bincount(firsts, minlength=3) / 2000, [0, 0.5, 0.5], atol=0.05)


def test_random_picks_are_included_as_often_as_they_say() -> None:
    included = count_inclusions([1.0, 0.9, 0.5, 0.4, 0.3, 0.2], 4, 0.5) / 4000
    np.testing.assert_allclose(included, [1, 1, 0.5, 0.5, 0.5, 0.5], atol=0.03)


def test_random_picks_are_spread_over_the_ranks() -> None:
    source = rng()
    is_random = np.mean([select_batch(np.arange(50), 10, 0.2, source).is_random for _ in range(4000)], axis=0)
    np.testing.assert_allclose(is_random, 0.2, atol=0.03)


def test_random_strategy_states_its_probabilities() -> None:
    batch = draw_batch("random", np.full((10, 2), 0.5), 4, 0.0, rng())
    assert batch.is_random.all()
    np.testing.assert_allclose(batch.probability, 0.4)


@pytest.mark.parametrize(("utilities", "n", "share"), [([np.nan], 1, 0.0), ([0.5], -1, 0.0), ([0.5], 1, 1.5)])
def test_impossible_batches_are_refused(utilities: list[float], n: int, share: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        select_batch(utilities, n, share, rng())


def test_modal_learner_can_be_taught_through_the_adapter() -> None:
    learners = modal_adapter.load_modal("modAL.models")
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    learner = learners.ActiveLearner(LogisticRegression(), X_training=X, y_training=[0, 0, 1, 1])
    learner.teach(X, [0, 0, 1, 1])
    assert learner.predict(X).tolist() == [0, 0, 1, 1]


def test_modal_still_needs_the_adapter() -> None:
    """Where this fails, modAL works by itself: `load_modal` may become a plain import."""
    without = run_python(
        "from modAL.models import ActiveLearner; from sklearn.linear_model import LogisticRegression\n"
        "ActiveLearner(LogisticRegression()).teach([[0.0], [1.0]], [0, 1])"
    )
    assert without.returncode == 1
    assert "unexpected keyword argument 'force_all_finite'" in without.stderr


def test_measures_do_not_load_torch() -> None:
    found = run_python(
        "import sys; from learning.algorithms.strategies.uncertainty import margin\n"
        "margin([[0.5, 0.5]]); print('torch' in sys.modules, 'modAL.uncertainty' in sys.modules)"
    )
    assert found.stdout.split() == ["False", "True"], found.stderr


@pytest.mark.parametrize("module", [module.name for module in pkgutil.iter_modules(strategies.__path__)])
def test_examples_in_the_docstrings_hold(module: str) -> None:
    found = importlib.import_module(f"{strategies.__name__}.{module}")
    assert doctest.testmod(found).failed == 0


def test_example_of_drawing_holds() -> None:
    assert doctest.testmod(strategies).failed == 0
