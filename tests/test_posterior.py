"""Answers weighed by skills that were found before: the arithmetic of the posterior rule, and its fits."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from reviewers.algorithms import posterior as module
from reviewers.algorithms.consensus_choice import choose_method
from reviewers.algorithms.crowd import CrowdLabels
from reviewers.algorithms.dawid_skene import dawid_skene
from reviewers.algorithms.fitting import Asked, fit_skills
from reviewers.algorithms.majority import majority_vote
from reviewers.algorithms.one_coin import one_coin
from reviewers.algorithms.posterior import Skills, skills_from, weigh

ACCURACY = (0.95, 0.9, 0.85, 0.6)


def plant(n_items: int = 200, n_values: int = 3, seed: int = 1, n_votes: int = 4) -> tuple[CrowdLabels, dict[int, int]]:
    """Labels by annotators of known accuracy on items of known truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_values, n_items)
    item, annotator = np.repeat(np.arange(n_items), n_votes), np.tile(np.arange(n_votes), n_items)
    is_right = rng.random(len(item)) < np.array(ACCURACY)[annotator % 4]
    wrong = (truth[item] + rng.integers(1, n_values, len(item))) % n_values
    labels = CrowdLabels.from_codes(item, annotator, np.where(is_right, truth[item], wrong), n_values)
    return labels, dict(enumerate(truth.tolist()))


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_weighing_is_what_bayes_makes_of_each_item() -> None:
    labels, _truth = plant(30)
    skills = skills_from(dawid_skene(labels))
    found = weigh(labels, skills)
    for row in range(labels.n_items):
        joint = np.exp(skills.log_prior)
        for at in range(labels.start[row], labels.start[row + 1]):
            joint = joint * np.exp(skills.log_chances[labels.annotator[at], labels.value[at]])
        assert found[row] == pytest.approx(joint / joint.sum(), abs=1e-12)


def test_a_fit_weighs_its_own_labels_as_it_did_itself() -> None:
    labels, _truth = plant(400)
    fit = dawid_skene(labels)
    assert weigh(labels, skills_from(fit)) == pytest.approx(fit.posterior, abs=0.01)


def test_no_value_is_impossible_because_nobody_has_seen_it() -> None:
    labels = CrowdLabels.from_codes([1, 1, 2, 2, 3, 3], [1, 2] * 3, [0, 0, 1, 1, 0, 1], n_values=3)
    skills = skills_from(one_coin(labels))
    assert np.isfinite(skills.log_prior).all()
    later = CrowdLabels.from_codes([9] * 4, [1, 2, 3, 4], [2] * 4, n_values=3)
    assert weigh(later, skills).argmax() == 2


def test_a_stranger_counts_as_the_annotators_do_together() -> None:
    labels, _truth = plant(2000)
    skills = skills_from(one_coin(labels))
    stranger = CrowdLabels.from_codes([1], [77], [0], n_values=3)
    assert weigh(stranger, skills)[0, 0] == pytest.approx(np.mean(ACCURACY), abs=0.02)


def test_many_items_are_weighed_in_blocks_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, _truth = plant(100)
    skills = skills_from(dawid_skene(labels))
    whole = weigh(labels, skills)
    monkeypatch.setattr(module, "_BLOCK_CELLS", 20)
    assert (weigh(labels, skills) == whole).all()


def test_nothing_can_be_weighed_by_a_vote() -> None:
    with pytest.raises(ValueError, match=r"^majority says nothing of the annotators$"):
        skills_from(majority_vote(plant()[0]))


def test_skills_for_other_values_are_refused() -> None:
    two = Skills(np.array([1]), np.zeros(2), np.zeros((1, 2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"^skills for 2 values cannot weigh labels of 3$"):
        weigh(plant()[0], two)


def test_a_fit_takes_the_method_that_the_evidence_is_for() -> None:
    labels, truth = plant(400)
    found, choice = fit_skills(labels), choose_method(labels)
    assert choice.method != "majority"
    assert (found.method, found.reason, found.n_held_out) == (choice.method, choice.reason, choice.n_held_out)
    assert found.skills is not None
    right = np.mean([weigh(labels, found.skills)[item].argmax() == value for item, value in truth.items()])
    assert right > majority_vote(labels).share_right(truth)


@pytest.mark.parametrize("asked", ["one_coin", "mace", "dawid_skene"])
def test_a_fit_takes_the_method_that_is_named(asked: Asked) -> None:
    found = fit_skills(plant()[0], asked)
    assert (found.method, found.reason) == (asked, "the project names it")


def test_annotators_who_are_all_alike_share_one_accuracy() -> None:
    rng = np.random.default_rng(3)
    item, annotator = np.repeat(np.arange(300), 3), rng.integers(0, 300, 900)
    value = np.where(rng.random(900) < 0.8, item % 2, 1 - item % 2)
    found = fit_skills(CrowdLabels.from_codes(item, annotator, value, 2))
    assert found.method == "shared_coin"
    assert found.skills is not None


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (([], [], [], 2), "0 items have two answers or are known, 50 are needed"),
        ((range(80), [1] * 80, [0, 1] * 40, 2), "0 items have two answers or are known, 50 are needed"),
        (([*range(60), *range(60)], [1] * 60 + [2] * 60, [0] * 120, 2), "only 1 class occurs"),
    ],
)
def test_where_skill_cannot_be_told_there_is_the_vote(labels: tuple[list[int], ...], reason: str) -> None:
    found = fit_skills(CrowdLabels.from_codes(*(list(part) for part in labels[:3]), labels[3]))  # type: ignore[arg-type,call-arg]
    assert (found.method, found.reason, found.skills) == ("majority", reason, None)


def test_items_with_one_answer_teach_nothing_and_change_nothing() -> None:
    labels, _truth = plant(100)
    lone = np.arange(1000, 1400)
    item = np.concatenate([labels.item_ids[labels.item], lone])
    annotator = np.concatenate([labels.annotator_ids[labels.annotator], np.full(400, 99)])
    more = CrowdLabels.from_codes(item, annotator, np.concatenate([labels.value, np.zeros(400, int)]), 3)
    alone, beside = fit_skills(labels), fit_skills(more)
    assert (beside.method, beside.labels.n_items, beside.labels.n_annotators) == (alone.method, 100, 4)
    assert alone.skills is not None
    assert beside.skills is not None
    assert (alone.skills.log_chances == beside.skills.log_chances).all()


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no method is called 'magic'"):
        fit_skills(plant()[0], "magic")  # type: ignore[arg-type]
