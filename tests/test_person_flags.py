"""Flags: honest people are left alone, each way of not working is pointed at by the flag that is meant for it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.people_flags import judge_cheat, judge_honest
from benchmarks.simulated_people import CHEATS, Crowd
from reviewers.algorithms.people import PeopleLabels
from reviewers.algorithms.person_flags import FALSE_ALARMS, Flag, find_flags

CROWD = Crowd(people=20, labels=300)


def flags_of(crowd: Crowd, seed: int = 1) -> list[Flag]:
    return find_flags(crowd.draw(np.random.default_rng(seed)).labels, n_first=crowd.first)[1]


@pytest.mark.parametrize(
    "crowd",
    [CROWD, Crowd(people=8, labels=60), Crowd(prevalence=(0.95, 0.05)), Crowd(first=2, most=3)],
    ids=["usual", "short", "rare class", "two or three"],
)
def test_honest_people_are_left_alone(crowd: Crowd) -> None:
    assert judge_honest(crowd, 15, seed=11)["flagged"] <= FALSE_ALARMS


@pytest.mark.parametrize(
    ("cheat", "kind"),
    [
        (CHEATS[0], "too_fast"),
        (CHEATS[1], "too_fast"),
        (CHEATS[2], "constant"),
        (CHEATS[3], "constant"),
        (CHEATS[4], "agrees_with_nobody"),
        (CHEATS[5], "agrees_with_nobody"),
        (CHEATS[6], "agree_too_well"),
        (CHEATS[7], "agree_too_well"),
    ],
)
def test_who_is_not_at_work_is_pointed_at(cheat: str, kind: str) -> None:
    found = judge_cheat(Crowd(people=20, labels=1000), cheat, 4, seed=12)
    assert found.get(kind, 0) >= 0.75
    assert found["others flagged"] <= FALSE_ALARMS


def test_two_who_agree_too_well_are_both_named_with_the_items() -> None:
    drawn = Crowd(cheats={7: CHEATS[6]}).draw(np.random.default_rng(2))
    flags = find_flags(drawn.labels, n_first=3)[1]
    assert [(flag.kind, flag.person, flag.other) for flag in flags] == [
        ("agree_too_well", 6, 7),
        ("agree_too_well", 7, 6),
    ]
    assert flags[0].figures["agreement"] > flags[0].figures["expected"] + 0.1
    shown = drawn.labels.item[flags[0].evidence]
    assert len(shown) == 8
    for item in shown.tolist():
        there = drawn.labels.item == item
        said = dict(zip(drawn.labels.person[there].tolist(), drawn.labels.value[there].tolist(), strict=True))
        assert said[6] == said[7]
        assert [value for person, value in said.items() if person not in (6, 7)] != [said[6]]


def test_the_items_of_a_run_are_those_on_which_the_others_differ() -> None:
    drawn = Crowd(cheats={7: CHEATS[2]}).draw(np.random.default_rng(3))
    flag = next(flag for flag in find_flags(drawn.labels, n_first=3)[1] if flag.kind == "constant")
    assert flag.person == 7
    assert flag.figures["length"] == flag.figures["n"] >= 250
    assert (drawn.labels.n_same[flag.evidence] == 0).all()
    assert (drawn.labels.person[flag.evidence] == 7).all()


def test_a_long_run_that_the_others_have_too_is_no_flag() -> None:
    """A hundred items of one class on end: everybody gives one answer."""
    value = np.concatenate([np.repeat([0, 1], 50), np.zeros(100, int)])
    item, person = np.repeat(np.arange(200), 6), np.tile(np.arange(6), 200)
    labels = PeopleLabels.from_codes(item, person, np.repeat(value, 6))
    assert find_flags(labels, n_first=6)[1] == []


def test_pace_is_not_judged_where_it_is_not_to_be() -> None:
    labels = Crowd(cheats={3: CHEATS[0]}).draw(np.random.default_rng(4)).labels
    pace, flags = find_flags(labels, n_first=3, with_pace=False)
    assert pace is None
    assert Counter(flag.kind for flag in flags) == {"agrees_with_nobody": 1}


def test_the_quickest_quarter_is_told_beside_the_usual_time() -> None:
    pace, flags = find_flags(Crowd(cheats={3: CHEATS[1]}).draw(np.random.default_rng(5)).labels, n_first=3)
    (flag,) = (flag for flag in flags if flag.kind == "too_fast")
    assert pace is not None
    assert flag.person == 3
    assert 0.6 < flag.figures["quarter_seconds"] < 1.2
    assert 3 < flag.figures["times"] < 8
    assert flag.figures["usual_seconds"] == pytest.approx(flag.figures["quarter_seconds"] * flag.figures["times"])
    assert 0.35 < pace.fast_share[3] < 0.65
    assert np.median(pace.fast_share) < 0.1


def test_labels_without_times_have_no_pace() -> None:
    labels = PeopleLabels.from_codes([1, 1, 2], [1, 2, 1], [0, 0, 1])
    pace, flags = find_flags(labels, n_first=2)
    assert pace is not None
    assert (pace.n.tolist(), flags) == ([0, 0], [])


def test_little_is_said_of_few_labels_or_few_people() -> None:
    few_labels = Crowd(labels=25, cheats={3: CHEATS[0]}).draw(np.random.default_rng(6)).labels
    assert [flag for flag in find_flags(few_labels, n_first=3)[1] if flag.person == 3] == []
    three = Crowd(people=3, cheats={2: CHEATS[4]}).draw(np.random.default_rng(6)).labels
    assert find_flags(three, n_first=3)[1] == []


def test_no_labels_no_flags() -> None:
    assert find_flags(PeopleLabels.from_codes([], [], []), n_first=2)[1] == []


def test_order_of_rows_and_names_of_ids_change_nothing() -> None:
    labels = Crowd(cheats={3: CHEATS[0], 9: CHEATS[2], 14: CHEATS[6]}).draw(np.random.default_rng(7)).labels
    order = np.random.default_rng(8).permutation(labels.n_labels)
    other = PeopleLabels.from_codes(
        (labels.item * 7 + 100)[order],
        (labels.person * 3 - 5)[order],
        (labels.value * 11)[order],
        at=labels.at[order],
        seconds=labels.seconds[order],
    )
    told, again = (find_flags(one, n_first=3)[1] for one in (labels, other))
    assert [(flag.kind, flag.person, flag.other) for flag in told] == [
        (flag.kind, flag.person, flag.other) for flag in again
    ]
    assert [flag.evidence.tolist() for flag in told] == [flag.evidence.tolist() for flag in again]
    assert len({flag.kind for flag in told}) == 4
