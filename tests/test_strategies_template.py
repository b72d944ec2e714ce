"""What every query strategy must do, whichever it is; a new one is tested here by being in the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from learning.algorithms.strategies import REGISTRY, Candidates, MissingInputError, draw_batch
from learning.algorithms.strategies.committee import consensus_entropy, vote_entropy
from learning.algorithms.strategies.coreset import greedy_centres
from learning.algorithms.strategies.dense import shorten
from learning.algorithms.strategies.distances import one_thread
from learning.algorithms.strategies.ranked import ranked_batch
from learning.algorithms.strategies.rare import find_rare

N = 300
EVERY = pytest.mark.parametrize("name", REGISTRY)


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def pool(n: int = N, n_classes: int = 3, seed: int = 1) -> Candidates:
    """Candidates of which everything is known that a strategy could ask for."""
    source = rng(seed)
    committee = source.dirichlet([1.0] * n_classes, size=(4, n))
    X = source.normal(size=(n, 6))
    labelled = source.normal(size=(20, 6))
    return Candidates(
        n=n,
        proba=committee.mean(axis=0),
        features=lambda positions: X[positions],
        labelled=lambda: labelled,
        y=np.r_[np.zeros(40, np.int64), np.ones(59, np.int64), 2],
        committee=committee,
        similarity=source.random(n),
    )


def reorder(candidates: Candidates, order: NDArray[np.int64]) -> Candidates:
    """The same candidates, in another order."""
    features = candidates.features
    assert features is not None
    assert candidates.proba is not None
    assert candidates.committee is not None
    assert candidates.similarity is not None
    return replace(
        candidates,
        proba=candidates.proba[order],
        features=lambda positions: features(order[positions]),
        committee=candidates.committee[:, order],
        similarity=candidates.similarity[order],
    )


def picks(name: str, candidates: Candidates, n: int, seed: int = 7, share: float = 0.0) -> list[int]:
    return [int(index) for index in draw_batch(name, candidates, n, share, rng(seed)).index]


@EVERY
@pytest.mark.parametrize("n", [0, 1, 2, 17, N - 1, N, N + 50])
def test_as_many_different_items_are_picked_as_there_are(name: str, n: int) -> None:
    found = picks(name, pool(), n)
    assert len(set(found)) == len(found) == min(n, N)
    assert all(0 <= index < N for index in found)


@EVERY
def test_no_candidates_give_an_empty_batch(name: str) -> None:
    assert picks(name, pool(n=0), 5) == []


@EVERY
def test_a_random_share_is_drawn_with_its_probability(name: str) -> None:
    batch = draw_batch(name, pool(), 20, 0.25, rng())
    drawn = batch.probability[batch.is_random]
    expected = {5: 5 / (N - 15), 20: 20 / N}[len(drawn)]
    np.testing.assert_allclose(drawn, expected)
    assert np.isnan(batch.probability[~batch.is_random]).all()


@EVERY
def test_the_same_seed_picks_the_same(name: str) -> None:
    assert picks(name, pool(), 20, share=0.3) == picks(name, pool(), 20, share=0.3)


@EVERY
def test_equal_candidates_are_chosen_by_chance(name: str) -> None:
    same = Candidates(
        n=50,
        proba=np.full((50, 3), 1 / 3),
        features=lambda positions: np.ones((len(positions), 4)),
        labelled=lambda: np.ones((3, 4)),
        y=np.zeros(100, np.int64),
        committee=np.full((3, 50, 3), 1 / 3),
        similarity=np.zeros(50),
    )
    found = [tuple(sorted(picks(name, same, 5, seed))) for seed in range(12)]
    assert len(set(found)) > 6
    assert picks(name, same, 5, 3) == picks(name, same, 5, 3)


@EVERY
def test_the_order_of_candidates_does_not_matter(name: str) -> None:
    order = rng(3).permutation(N)
    original, turned = pool(), reorder(pool(), order)
    by_chance = {"random", "vote_entropy"}  # draws, and ties of a few votes: there it must not matter on average only
    found = [set(picks(name, original, 20)), {int(order[index]) for index in picks(name, turned, 20)}]
    assert found[0] == found[1] or name in by_chance


@EVERY
def test_certain_models_are_no_obstacle(name: str) -> None:
    certain = np.eye(3)[np.arange(N) % 3]
    known = replace(pool(), proba=certain, committee=np.stack([certain] * 3))
    assert len(set(picks(name, known, 25))) == 25


@pytest.mark.parametrize(
    "name", [name for name, one in REGISTRY.items() if name not in ("random", "coreset", "keywords")]
)
def test_what_is_not_a_number_is_refused(name: str) -> None:
    broken: Any = pool()
    broken.proba[4, 1] = broken.committee[:, 4, 1] = np.nan
    with pytest.raises(ValueError, match="each row of probabilities must be non-negative and sum to 1"):
        picks(name, replace(broken, similarity=None), 5)


@pytest.mark.parametrize("name", [name for name, one in REGISTRY.items() if name not in ("random", "adaptive")])
def test_what_a_strategy_needs_and_lacks_is_said(name: str) -> None:
    with pytest.raises(MissingInputError):
        picks(name, Candidates(n=10), 3)


def test_clusters_are_asked_one_by_one() -> None:
    """Ten far-off groups, one of them with all the highest margins: a batch of ten asks each group once."""
    group = np.arange(100) % 10
    X = np.eye(10)[group] * 9 + rng().normal(size=(100, 10)) * 0.01
    share = 0.5 + 0.001 * np.arange(100) / 100 + 0.1 * (group > 0)
    known = Candidates.of(np.c_[share, 1 - share], features=lambda positions: X[positions])
    assert sorted(group[picks("kmeans", known, 10)]) == list(range(10))
    assert set(group[picks("margin", known, 10)]) == {0}


def test_sparse_features_are_clustered_too() -> None:
    texts = sparse.random(200, 5000, density=0.01, random_state=3, format="csr")
    known = Candidates.of(pool(200).need_proba(), features=lambda positions: texts[positions])
    assert len(set(picks("kmeans", known, 15))) == 15
    assert shorten(texts, rng()).shape == (200, 128)


def test_a_rare_class_is_looked_for() -> None:
    known = pool()
    likely = np.argsort(-known.need_proba()[:, 2])[:10]
    assert set(likely.tolist()) <= set(picks("rare", known, 20))
    assert set(likely.tolist()) <= set(picks("adaptive", replace(known, similarity=None), 20))
    assert find_rare(known.y, 3) == 2


def test_adaptive_spreads_margins_where_no_class_is_rare() -> None:
    known = replace(pool(), similarity=None, y=np.arange(90) % 3)
    assert picks("adaptive", known, 20) == picks("kmeans", known, 20)


def test_adaptive_starts_with_the_words_of_the_policy() -> None:
    known = replace(pool(), y=np.arange(30) % 3)
    assert picks("adaptive", known, 20) == picks("keywords", known, 20)
    cold = replace(known, proba=None, y=np.zeros(0, np.int64))
    assert picks("adaptive", cold, 20) == picks("keywords", known, 20)
    assert len(picks("adaptive", replace(cold, similarity=None), 20)) == 20


def test_ranked_batch_takes_the_farthest_first_in_a_large_pool() -> None:
    X = np.r_[rng().normal(size=(50, 3)), [[90.0, 0, 0], [0, 80.0, 0]]]
    assert ranked_batch(X, np.zeros((1, 3)), np.zeros(52), 2).tolist() == [50, 51]


@pytest.mark.parametrize("n_labelled", [0, 1, 30])
def test_ranked_batch_picks_as_modal_does(n_labelled: int) -> None:
    from learning.algorithms import modal_adapter

    source = rng(n_labelled)
    X, known, doubt = source.normal(size=(90, 5)), source.normal(size=(n_labelled, 5)), source.random(90)

    class Learner:
        on_transformed = False
        X_training = known if n_labelled else None

    modal = modal_adapter.load_modal("modAL.batch")
    with one_thread():
        expected, _doubt = modal.ranked_batch(Learner(), X, doubt, n_instances=25, metric="euclidean", n_jobs=None)
    assert ranked_batch(X, known, doubt, 25).tolist() == expected.tolist()


def test_centres_leave_no_item_far_away() -> None:
    X = rng().normal(size=(200, 3))
    chosen = greedy_centres(X, X[:1], 20)
    far = np.sqrt(((X[:, np.newaxis] - X[np.r_[0, chosen]]) ** 2).sum(axis=2)).min(axis=1).max()
    by_chance = np.sqrt(((X[:, np.newaxis] - X[:21]) ** 2).sum(axis=2)).min(axis=1).max()
    assert far < by_chance
    last = X[chosen[-1]]
    assert np.sqrt(((X[np.r_[0, chosen[:-1]]] - last) ** 2).sum(axis=1)).min() >= far - 1e-9


def test_committees_are_measured_as_worked_by_hand() -> None:
    committee = [[[0.6, 0.4], [0.9, 0.1]], [[0.2, 0.8], [0.7, 0.3]], [[0.1, 0.9], [0.8, 0.2]]]
    expected = -(1 / 3 * np.log(1 / 3) + 2 / 3 * np.log(2 / 3))
    np.testing.assert_allclose(vote_entropy(committee), [expected, 0], atol=1e-9)
    p = np.array([[0.3, 0.7], [0.8, 0.2]])
    np.testing.assert_allclose(consensus_entropy(committee), -(p * np.log(p)).sum(axis=1))
    with pytest.raises(ValueError, match=r"must be \(n_members, n_items, n_classes\), not \(2, 2\)"):
        vote_entropy(committee[0])
