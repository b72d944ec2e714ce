"""Accuracy of people: what the others say, shrinkage, confusion, weeks and trends; and the beta distribution."""

from __future__ import annotations

import doctest
import math
from itertools import product

import numpy as np
import pytest

from reviewers.algorithms import beta, people
from reviewers.algorithms.beta import BetaPrior, beta_quantile, binomial_tail, fit_prior
from reviewers.algorithms.people import MOST_PARTNERS, WEEK_SECONDS, PeopleLabels
from reviewers.algorithms.person_accuracy import (
    References,
    Weeks,
    accuracy_of,
    confusion_of,
    trend_of,
    weeks_of,
)

MONDAY = 1_736_121_600.0  # 6 January 2025


def random_labels(n_items: int, n_people: int, seed: int, most: int = 6) -> PeopleLabels:
    rng = np.random.default_rng(seed)
    rows = [
        (item, person, int(rng.integers(0, 3)))
        for item in range(n_items)
        for person in rng.permutation(n_people)[: int(rng.integers(1, most))]
    ]
    item, person, value = zip(*rows, strict=True)
    return PeopleLabels.from_codes(item, person, value)


@pytest.mark.parametrize("module", [beta, people])
def test_examples_in_the_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_quantiles_give_clopper_and_pearsons_intervals() -> None:
    """Newcombe (1998), table I: 81/263, 15/148 and 1/29."""
    k, n = np.array([81, 15, 1]), np.array([263, 148, 29])
    low, high = beta_quantile(0.025, k, n - k + 1), beta_quantile(0.975, k + 1, n - k)
    assert low.round(4).tolist() == [0.2527, 0.0578, 0.0009]
    assert high.round(4).tolist() == [0.3676, 0.1617, 0.1776]


def test_a_binomial_tail_is_the_sum_of_its_terms() -> None:
    for n, k, share in product((1, 7, 40), (0, 1, 5, 40), (0.01, 0.5, 0.97)):
        terms = [math.comb(n, one) * share**one * (1 - share) ** (n - one) for one in range(k, n + 1)]
        assert binomial_tail([min(k, n)], [n], share)[0] == pytest.approx(
            sum(terms) if k <= n else share**n, rel=1e-9, abs=1e-300
        )


def test_a_planted_prior_is_found_again() -> None:
    rng = np.random.default_rng(3)
    n = rng.integers(20, 80, 2000)
    prior = fit_prior(rng.binomial(n, rng.beta(12, 3, 2000)), n)
    assert prior is not None
    assert prior.mean == pytest.approx(0.8, abs=0.01)
    assert prior.weight == pytest.approx(15, rel=0.15)


def test_people_who_differ_by_chance_alone_are_drawn_together() -> None:
    rng = np.random.default_rng(4)
    prior = fit_prior(rng.binomial(100, 0.8, 300), [100] * 300)
    assert prior is not None
    assert prior.weight > 300


def test_few_people_are_not_shrunk() -> None:
    assert fit_prior([90, 80, 70, 95], [100] * 4) is None
    assert fit_prior([90, 80, 70, 95, 0], [100] * 4 + [0]) is None


def test_fewer_labels_are_drawn_further_to_the_middle() -> None:
    prior = BetaPrior(0.8, 0.0, np.array([10.0]), np.array([1.0]))
    mean, interval = prior.shrink([10, 100, 1000], [20, 200, 2000])
    assert 0.8 > mean[0] > mean[1] > mean[2] > 0.5
    assert (np.diff(interval, axis=1).ravel() > 0).all()


def test_intervals_hold_what_was_planted() -> None:
    rng = np.random.default_rng(5)
    true = rng.beta(12, 3, 3000)
    n = rng.integers(10, 60, 3000)
    k = rng.binomial(n, true)
    prior = fit_prior(k, n)
    assert prior is not None
    mean, interval = prior.shrink(k, n)
    assert 0.94 < ((interval[:, 0] <= true) & (true <= interval[:, 1])).mean() < 0.96
    assert np.sqrt(((mean - true) ** 2).mean()) < 0.85 * np.sqrt(((k / n - true) ** 2).mean())


@pytest.mark.parametrize("n", [20, 60])
def test_intervals_hold_what_was_planted_among_few_people_too(n: int) -> None:
    """Twelve people: what is not known of how far people differ makes the intervals wider."""
    rng = np.random.default_rng(9)
    held = []
    for _ in range(60):
        true = rng.beta(40, 10, 12)
        k = rng.binomial(n, true)
        prior = fit_prior(k, [n] * 12)
        assert prior is not None
        interval = prior.shrink(k, [n] * 12)[1]
        held.append(((interval[:, 0] <= true) & (true <= interval[:, 1])).mean())
    assert 0.92 < np.mean(held) < 0.98


def test_what_the_others_say_leaves_the_own_vote_out() -> None:
    labels = random_labels(300, 8, seed=1)
    for position in range(labels.n_labels):
        others = (labels.item == labels.item[position]) & (labels.person != labels.person[position])
        votes = np.bincount(labels.value[others], minlength=labels.n_values)
        leading = np.flatnonzero(votes * 2 > votes.sum())
        assert labels.others_say[position] == (leading[0] if len(leading) else -1)
        assert labels.n_others[position] == votes.sum()
        assert labels.n_same[position] == votes[labels.value[position]]


def test_partners_are_all_others_or_as_many_as_are_looked_at() -> None:
    item = np.repeat([0, 1, 2], [1, 4, 30])
    labels = PeopleLabels.from_codes(item, np.arange(35), np.zeros(35))
    left, right = labels.partners
    assert np.bincount(left, minlength=35).tolist() == [0] + [3] * 4 + [MOST_PARTNERS] * 30
    assert (labels.item[left] == labels.item[right]).all()
    assert (left != right).all()
    assert len(set(zip(left.tolist(), right.tolist(), strict=True))) == len(left)


def test_one_label_an_item_has_no_reference() -> None:
    labels = PeopleLabels.from_codes([1, 2], [5, 5], [0, 1])
    assert labels.others_say.tolist() == [-1, -1]
    accuracy = accuracy_of(labels, References.of(labels, agreed_items=[1, 2]).agreed)
    assert accuracy.n.tolist() == [0]
    assert np.isnan(accuracy.value).all()


def test_no_labels_at_all() -> None:
    labels = PeopleLabels.from_codes([], [], [])
    references = References.of(labels, agreed_items=[3], decided=([3], [1]))
    assert accuracy_of(labels, references.best).value.tolist() == []
    assert trend_of(weeks_of(labels, references.agreed)).p.tolist() == []
    assert [len(part) for part in confusion_of(labels, references.best)] == [0, 0, 0, 0]


def test_the_three_measures_are_of_different_items() -> None:
    """Items 1 to 3, each labelled by people 1, 2, 3: agreed on 7, decided as 9, known as 8 (which nobody said)."""
    labels = PeopleLabels.from_codes([1, 1, 1, 2, 2, 2, 3, 3, 3], [1, 2, 3] * 3, [7, 7, 9, 7, 9, 9, 7, 7, 7])
    references = References.of(labels, agreed_items=[1], decided=([2], [9]), gold=([3, 4], [8, 7]))
    right = {
        name: accuracy_of(labels, getattr(references, name)).n_right.tolist() for name in ("agreed", "decided", "gold")
    }
    n = {name: accuracy_of(labels, getattr(references, name)).n.tolist() for name in right}
    # Of item 1 persons 1 and 2 have one other with each answer left: nobody leads there, and only 3 is measured.
    assert (n["agreed"], right["agreed"]) == ([0, 0, 1], [0, 0, 0])
    assert (n["decided"], right["decided"]) == ([1, 1, 1], [0, 1, 1])
    assert (n["gold"], right["gold"]) == ([1, 1, 1], [0, 0, 0])
    cells = list(zip(*(part.tolist() for part in confusion_of(labels, references.best)), strict=True))
    assert (0, 2, 0, 1) in cells  # person 1 said 7 where the known answer is one that nobody gave
    assert (0, 1, 0, 1) in cells  # and 7 where the decision is 9


def test_a_decision_says_nothing_of_who_made_it() -> None:
    labels = PeopleLabels.from_codes([1, 1], [10, 20], [0, 1])
    decided = References.of(labels, decided=([1], [1]), own_decisions=([1, 1, 9], [20, 30, 10])).decided
    assert accuracy_of(labels, decided).n.tolist() == [1, 0]


def test_weeks_begin_on_monday() -> None:
    at = MONDAY + np.array([-1, 0, WEEK_SECONDS - 1, WEEK_SECONDS])
    labels = PeopleLabels.from_codes([1, 2, 3, 4], [1, 1, 1, 1], [0, 0, 0, 0], at=at)
    assert labels.week.tolist() == [0, 1, 1, 2]
    assert labels.first_week_at == MONDAY - WEEK_SECONDS
    weeks = weeks_of(labels, np.array([0, 0, -1, 9]))
    assert (weeks.n.tolist(), weeks.n_right.tolist()) == ([[1, 1, 1]], [[1, 1, 0]])


def people_over_weeks(rng: np.random.Generator, share: np.ndarray, n: int = 40) -> Weeks:
    """`share`: of right labels, (n_people, n_weeks)."""
    counts = np.full(share.shape, n)
    return Weeks(counts, rng.binomial(counts, share))


def test_trends_by_chance_are_as_rare_as_they_should_be() -> None:
    rng = np.random.default_rng(6)
    share = np.repeat(rng.uniform(0.6, 0.95, 30)[:, np.newaxis], 8, axis=1)
    trends = [trend_of(people_over_weeks(rng, share)) for _ in range(200)]
    assert 0.04 < np.mean([trend.p < 0.05 for trend in trends]) < 0.06
    assert np.mean([(trend.p_adjusted < 0.05).any() for trend in trends]) < 0.08


def test_who_gets_worse_is_seen_and_which_way() -> None:
    rng = np.random.default_rng(7)
    share = np.full((20, 8), 0.85)
    share[3] = np.linspace(0.95, 0.6, 8)
    share[4] = np.linspace(0.6, 0.95, 8)
    trend = trend_of(people_over_weeks(rng, share))
    assert np.flatnonzero(trend.p_adjusted < 0.05).tolist() == [3, 4]
    assert trend.z[3] < 0 < trend.z[4]


def test_what_moves_everybody_is_nobodys_trend() -> None:
    rng = np.random.default_rng(8)
    share = np.repeat(np.linspace(0.95, 0.6, 8)[np.newaxis], 20, axis=0)
    assert not (trend_of(people_over_weeks(rng, share, 200)).p_adjusted < 0.05).any()


def test_two_weeks_are_no_trend() -> None:
    trend = trend_of(Weeks(np.array([[50, 50], [50, 50]]), np.array([[45, 20], [44, 46]])))
    assert np.isnan(trend.p).all()
    assert np.isnan(trend.p_adjusted).all()
