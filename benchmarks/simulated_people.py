"""People who label, made up: honest ones of different skill, leaning and pace, and some who are not at work.

What an honest person says of an item depends on the item's truth, how hard it is, which wrong answer it invites
(the same one for everybody), how good the person is and which answer they lean to. How long they take depends on the
item and the person, and differs from one time to the next. Everything follows from the generator passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reviewers.algorithms.people import PeopleLabels

DAY = 24 * 3600.0
# What somebody does who is not at work, and in which share of their labels.
CHEATS = (
    "clicks at once",
    "clicks at once, every second item",
    "one answer throughout",
    "one answer, the last quarter",
    "any answer, at a normal pace",
    "the others' frequencies, at a normal pace",
    "copies a colleague",
    "copies a colleague, every second item",
)


@dataclass(frozen=True)
class Crowd:
    """What a project is like.

    `prevalence`: share of each value among the truths. `skill`: parameters of the beta distribution of people's chance
    to be right on an easy item. `lure`: how many of the mistakes go to the answer that the item invites. `hard`: share
    of hard items, on which people are right half as often beyond chance. `leaning`, `pace`: standard deviations of
    people's leanings (log odds) and paces (log). `first`, `most`: labels of an item; between the two it gets one more
    while no answer has more than half. `stretches`: the items come in stretches of one truth of about this length; 1 is
    by chance. `school`: so many people read a clause in their own way, and call half of the items of value 0 value 1.
    `cheats`: who does what instead; somebody who copies has the person before to copy from.
    """

    people: int = 20
    labels: int = 300  # of each person, about
    prevalence: tuple[float, ...] = (0.5, 0.25, 0.15, 0.1)
    skill: tuple[float, float] = (14.0, 3.0)
    lure: float = 0.5
    hard: float = 0.3
    leaning: float = 0.4
    pace: float = 0.35
    first: int = 3
    most: int = 3
    stretches: int = 1
    school: int = 0
    cheats: Mapping[int, str] = field(default_factory=dict)  # person -> one of CHEATS

    def draw(self, rng: np.random.Generator) -> Drawn:
        """One project's labels, with the truth of each item."""
        k = len(self.prevalence)
        n_items = max(1, self.people * self.labels // self.first)
        truth = rng.choice(k, n_items, p=self.prevalence)
        if self.stretches > 1:
            truth = truth[np.lexsort((np.arange(n_items), truth))]
            blocks = np.array_split(truth, max(1, n_items // self.stretches))
            truth = np.concatenate([blocks[one] for one in rng.permutation(len(blocks))])
        is_hard = rng.random(n_items) < self.hard
        lured_to = (truth + rng.integers(1, k, n_items)) % k
        skill = rng.beta(*self.skill, self.people)
        lean = np.exp(rng.normal(0, self.leaning, (self.people, k)))
        is_between = (truth == 0) & (rng.random(n_items) < 0.5)
        item_time = rng.normal(2.0, 0.5, n_items)
        own_time = rng.normal(0, self.pace, self.people)
        seen = _who_labels(rng, n_items, self.people, self.most, self.cheats)
        said = np.full((n_items, self.most), -1, np.int64)
        seconds = np.full((n_items, self.most), np.nan)
        for place in range(self.most):
            asked = np.flatnonzero(_is_open(said, place, self.first, k))
            who = seen[asked, place]
            right = skill[who] * np.where(is_hard[asked], 0.5, 1.0) + np.where(is_hard[asked], 0.5 / k, 0.0)
            chance = np.repeat(((1 - right) * (1 - self.lure) / (k - 1))[:, np.newaxis], k, axis=1)
            chance[np.arange(len(asked)), lured_to[asked]] += (1 - right) * self.lure
            chance[np.arange(len(asked)), truth[asked]] = right
            otherwise = np.flatnonzero(is_between[asked] & (who < self.school))
            chance[otherwise, :2] = chance[otherwise, 1::-1]
            chance *= lean[who]
            chance /= chance.sum(axis=1, keepdims=True)
            said[asked, place] = _draw_each(rng, chance)
            noise = rng.normal(0, 0.5, len(asked))
            seconds[asked, place] = np.exp(item_time[asked] + own_time[who] + noise)
        at = np.sort(rng.uniform(0, 60 * DAY, n_items))[:, np.newaxis] + np.cumsum(rng.uniform(1, 600, said.shape), 1)
        for person, cheat in self.cheats.items():
            _cheat(rng, cheat, person, seen, said, seconds, np.array(self.prevalence))
        row, column = np.nonzero(said >= 0)
        labels = PeopleLabels.from_codes(
            row, seen[row, column], said[row, column], at=at[row, column], seconds=seconds[row, column]
        )
        return Drawn(labels, truth, skill)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A project's labels, and what was planted: truth by item, skill by person."""

    labels: PeopleLabels
    truth: NDArray[np.int64]
    skill: NDArray[np.float64]


def _who_labels(
    rng: np.random.Generator, n_items: int, people: int, most: int, cheats: Mapping[int, str]
) -> NDArray[np.int64]:
    """Different people for each item, (n_items, most); who copies is put beside whom they copy half the time."""
    order = np.argsort(rng.random((n_items, people)), axis=1)[:, :most]
    for person, cheat in cheats.items():
        if cheat.startswith("copies"):
            has = (order == person - 1).any(axis=1) & ~(order == person).any(axis=1) & (rng.random(n_items) < 0.5)
            rows = np.flatnonzero(has)
            spot = np.where(order[rows, 0] == person - 1, 1, 0)
            order[rows, spot] = person
    return order.astype(np.int64)


def _is_open(said: NDArray[np.int64], place: int, first: int, k: int) -> NDArray[np.bool_]:
    if place < first:
        return np.ones(len(said), bool)
    votes = (said[:, :place, np.newaxis] == np.arange(k)).sum(axis=1)
    is_open: NDArray[np.bool_] = (said[:, place - 1] >= 0) & (votes.max(axis=1) * 2 <= place)
    return is_open


def _draw_each(rng: np.random.Generator, chance: NDArray[np.float64]) -> NDArray[np.int64]:
    steps = np.cumsum(chance, axis=1)
    drawn = rng.random((len(chance), 1)) * steps[:, -1:]
    found: NDArray[np.int64] = (steps < drawn).sum(axis=1).astype(np.int64)
    return found


def _cheat(
    rng: np.random.Generator,
    cheat: str,
    person: int,
    seen: NDArray[np.int64],
    said: NDArray[np.int64],
    seconds: NDArray[np.float64],
    prevalence: NDArray[np.float64],
) -> None:
    """Put what this person does in the place of what they would have said; in the order of the items."""
    rows, places = np.nonzero((seen == person) & (said >= 0))
    if cheat.endswith("every second item"):
        chosen = rng.random(len(rows)) < 0.5
    elif cheat.endswith("last quarter"):
        chosen = np.arange(len(rows)) >= len(rows) * 3 // 4
    else:
        chosen = np.ones(len(rows), bool)
    rows, places = rows[chosen], places[chosen]
    k = len(prevalence)
    if cheat.startswith("clicks at once"):
        said[rows, places] = rng.integers(0, k, len(rows))
        seconds[rows, places] = np.exp(rng.normal(0, 0.3, len(rows)))
    elif cheat.startswith("one answer"):
        said[rows, places] = 0
    elif cheat.startswith("any answer"):
        said[rows, places] = rng.integers(0, k, len(rows))
    elif cheat.startswith("the others"):
        said[rows, places] = rng.choice(k, len(rows), p=prevalence)
    else:
        beside = seen[rows] == person - 1
        has = beside.any(axis=1) & (said[rows, beside.argmax(axis=1)] >= 0)
        said[rows[has], places[has]] = said[rows[has], beside[has].argmax(axis=1)]
