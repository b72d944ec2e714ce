"""The consensus method chosen by evidence: what it chooses, what it says of it, and when it keeps to the vote."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from reviewers.algorithms import consensus_choice
from reviewers.algorithms.consensus_choice import choose_method, consensus_by_evidence
from reviewers.algorithms.crowd import NO_LABELS, NO_OVERLAP, ONE_CLASS, CrowdLabels
from reviewers.algorithms.majority import majority_vote
from tests.test_consensus_methods import FILES, needs_data, simulate

# crowd-kit 1.4.2's best of MajorityVote, Wawa, DawidSkene, OneCoin, GLAD and MACE, each file by itself, and
# DawidSkene's accuracy, which is the best of the six on the mean of these files.
CROWD_KIT_BEST = {"hatecheck": 0.9990, "snow_temp": 0.9437, "snow_wsd": 0.9944, "gal_barzan": 0.7090}
CROWD_KIT_DAWID_SKENE = {"hatecheck": 0.9990, "snow_temp": 0.9416, "snow_wsd": 0.9944, "gal_barzan": 0.7090}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (([], [], []), NO_LABELS),
        (([1, 2, 3], [1, 1, 2], [0, 1, 0]), NO_OVERLAP),
        (([1, 1, 2], [1, 2, 2], [1, 1, 1]), ONE_CLASS),
        (([1, 1, 2, 3], [1, 2, 2, 1], [1, 1, 0, 0]), "1.33 labels per item, 2 are needed"),
        (([1, 1, 2, 2], [1, 2, 3, 4], [1, 1, 0, 0]), "no label can be hidden"),
    ],
)
def test_where_skill_cannot_be_told_it_is_the_vote(rows: tuple[list[int], list[int], list[int]], reason: str) -> None:
    result, choice = consensus_by_evidence(CrowdLabels.from_codes(*rows, n_values=2))
    assert result.method == choice.method == "majority"
    assert reason in choice.reason
    assert (choice.n_held_out, dict(choice.held_out)) == (0, {})


def test_few_labels_of_equals_are_no_reason_for_a_confusion_matrix_each() -> None:
    """Forty annotators with about eight labels each, all right as often: sixteen numbers each are not to be had."""
    random = np.random.default_rng(1)
    truth = random.integers(0, 4, 110)
    item = np.repeat(np.arange(110), 3)
    annotator = np.concatenate([random.choice(40, 3, replace=False) for _ in range(110)])
    wrong = (truth[item] + random.integers(1, 4, 330)) % 4
    value = np.where(random.random(330) < 0.8, truth[item], wrong)
    choice = choose_method(CrowdLabels.from_codes(item, annotator, value, 4))
    assert choice.method == "majority"
    assert choice.held_out["majority"] > choice.held_out["dawid_skene"]


def test_annotators_who_mistake_one_class_for_another_are_a_reason_for_a_confusion_matrix_each() -> None:
    """Three of five call most of class 1 a 2, and nothing else: the vote loses class 1, a confusion matrix finds it."""
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 1000)[:, np.newaxis]
    mistaken = np.where((truth == 1) & (random.random((1000, 3)) < 0.7), 2, np.repeat(truth, 3, axis=1))
    fair = (truth + (random.random((1000, 2)) < 0.1)) % 3
    value = np.concatenate([mistaken, fair], axis=1)
    item, annotator = np.indices(value.shape)
    labels = CrowdLabels.from_codes(item.ravel(), annotator.ravel(), value.ravel(), 3)
    known = dict(enumerate(truth.ravel().tolist()))
    result, choice = consensus_by_evidence(labels)
    assert choice.method == "dawid_skene"
    assert result.share_right(known) > majority_vote(labels).share_right(known) + 0.1


def test_the_choice_says_what_it_rests_on() -> None:
    item, annotator, value, _ = simulate(3)
    choice = choose_method(CrowdLabels.from_codes(item, annotator, value, 3))
    assert choice.labels_per_item == 4
    assert choice.shared_per_annotator == np.median(np.bincount(annotator))
    assert choice.n_held_out == 2400  # one of each of 300 items, eight times
    assert list(choice.held_out) == ["majority", "one_coin", "mace", "dawid_skene"]
    assert choice.held_out[choice.method] == max(choice.held_out.values()) < 0
    assert f"{choice.held_out[choice.method]:.4f}" in choice.reason


def test_the_order_of_the_rows_does_not_change_the_choice() -> None:
    item, annotator, value, _ = simulate(3)
    order = np.random.default_rng(3).permutation(len(item))
    plain = choose_method(CrowdLabels.from_codes(item, annotator, value, 3))
    other = choose_method(CrowdLabels.from_codes(item[order], annotator[order], value[order], 3))
    assert plain == other


@needs_data
def test_it_is_as_good_as_the_best_single_method_of_crowd_kit() -> None:
    right, chosen = {}, {}
    for name, read in FILES.items():
        labels, truth = read()
        result, choice = consensus_by_evidence(labels)
        right[name], chosen[name] = round(result.share_right(truth), 4), choice.method
    assert right == {"hatecheck": 0.9990, "snow_temp": 0.9437, "snow_wsd": 0.9944, "gal_barzan": 0.7310}
    assert chosen == {"hatecheck": "mace", "snow_temp": "mace", "snow_wsd": "majority", "gal_barzan": "mace"}
    assert sum(right.values()) >= sum(CROWD_KIT_DAWID_SKENE.values())
    assert {name: share for name, share in right.items() if share < CROWD_KIT_BEST[name] - 0.005} == {}


@needs_data
@pytest.mark.parametrize("name", ["snow_temp", "snow_wsd", "gal_barzan"])
def test_other_ids_do_not_make_it_less_right(name: str) -> None:
    labels, truth = FILES[name]()
    right = consensus_by_evidence(labels)[0].share_right(truth)
    for seed in range(4):
        source = np.random.default_rng(seed)
        items, people = (source.choice(2**40, n, replace=False) for n in (labels.n_items, labels.n_annotators))
        again = CrowdLabels.from_codes(items[labels.item], people[labels.annotator], labels.value, labels.n_values)
        known = dict(zip(items[np.searchsorted(labels.item_ids, list(truth))].tolist(), truth.values(), strict=True))
        assert consensus_by_evidence(again)[0].share_right(known) == pytest.approx(right)


@needs_data
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("labels_per_item", [1, 2, 3])
def test_with_few_labels_it_is_as_good_as_the_vote(name: str, labels_per_item: int) -> None:
    """Within half a point, on the mean of three draws of so many labels from each item of a real file."""
    labels, truth = FILES[name]()
    chosen, voted = [], []
    for seed in range(3):
        few = thin(labels, labels_per_item, seed)
        chosen.append(consensus_by_evidence(few)[0].share_right(truth))
        voted.append(majority_vote(few).share_right(truth))
    assert np.mean(chosen) >= np.mean(voted) - 0.005


def thin(labels: CrowdLabels, labels_per_item: int, seed: int) -> CrowdLabels:
    """So many labels of each item, drawn at random."""
    order = np.lexsort((np.random.default_rng(seed).random(labels.n_labels), labels.item))
    kept = order[np.arange(labels.n_labels) - labels.start[labels.item] < labels_per_item]
    ids = labels.item_ids[labels.item[kept]]
    return CrowdLabels.from_codes(ids, labels.annotator[kept], labels.value[kept], labels.n_values)


def test_examples_in_the_docstrings_hold() -> None:
    failed, tried = doctest.testmod(consensus_choice)
    assert failed == 0
    assert tried > 0
