"""Reasons to look at somebody's labels: too fast, constant answers, agreement with nobody, two who agree too well.

A flag is a reason to look, never a verdict. Each rule asks what an honest person could have done on the same items,
given what the others did there, and is set so that it points at an honest person in one project of 400: all four
together at one in a hundred, less in practice, because each rule gives the person the benefit of the doubt
as well (a pace three times the usual one, a leaning of eight to one). How often honest people are
flagged, and how many of those who are not, is measured by `python -m benchmarks.people_flags`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from reviewers.algorithms.beta import binomial_tail
from reviewers.algorithms.people import FloatArray, IntArray, PeopleLabels

FlagKind = Literal["too_fast", "constant", "agrees_with_nobody", "agree_too_well"]
KINDS: tuple[FlagKind, ...] = ("too_fast", "constant", "agrees_with_nobody", "agree_too_well")

FALSE_ALARMS = 0.01  # per honest person and project, all flags together
ALPHA = FALSE_ALARMS / len(KINDS)
Z = NormalDist().inv_cdf(1 - ALPHA)

LEAST_LABELS = 30  # of a person, below which nothing is said
LEAST_PEOPLE = 4  # with as many labels: among three nobody stands out
LEAST_RUN = 20
LEAST_BESIDE_RUN = 10  # labels of others on the items of a run
LEAST_SHARED = 10  # items that two people share
MOST_EVIDENCE = 8

TIMES_FASTER = 3.0  # than the others on the same items: nobody is flagged below
FAST_SHARE = 1 / 3  # of the time that the others take: such an answer counts as a fast one
_PRIOR_SPREAD, _PRIOR_PEOPLE = 0.35, 10.0  # how far honest paces differ (log), as if ten people had been watched
LEANING = 8.0  # the odds of an honest person's answer beside the others': so far one may lean
LOW = 0.4  # of the middle person's agreement beyond chance: less is little
STANDS_OUT = 2.0  # standard errors by which a pair agrees more than expected, to be left out of the fit
ERRORS = 1.0  # standard errors of what two people are expected to agree on, in their favour
MARGIN = 0.02  # agreement of two people beyond what was expected of them, below which nothing is said


@dataclass(frozen=True, eq=False)
class Flag:
    """One reason to look.

    Attributes
    ----------
    kind : str
    person : int
        Code of the person.
    other : int or None
        The second person of `agree_too_well`; there is a flag on each of the two.
    figures : mapping of str to float
        The evidence in numbers; which ones depends on the kind, see the functions below.
    evidence : ndarray of int64
        Positions of the labels that show it best, at most eight.
    """

    kind: FlagKind
    person: int
    figures: Mapping[str, float]
    evidence: IntArray
    other: int | None = None


@dataclass(frozen=True, eq=False)
class Pace:
    """How fast everybody is, (n_people,) each; nan or 0 where nothing was measured.

    Attributes
    ----------
    n : ndarray of int64
        Labels whose time was measured.
    median : ndarray of float64
        Seconds.
    fast_share : ndarray of float64
        Labels given in less than a third of the time that the others take on such items, 0 to 1.
    flags : tuple of Flag
    """

    n: IntArray
    median: FloatArray
    fast_share: FloatArray
    flags: tuple[Flag, ...]


def find_flags(labels: PeopleLabels, *, n_first: int, with_pace: bool = True) -> tuple[Pace | None, list[Flag]]:
    """Everybody's pace, and every flag.

    Parameters
    ----------
    labels : PeopleLabels
    n_first : int
        How many labels an item gets whatever they say. Only those count where two people are compared: whether an item
        gets more depends on whether the first ones agreed.
    with_pace : bool
        Without it pace is neither measured nor judged: where items are hard to look at nobody is to hurry.

    Returns
    -------
    (Pace or None, list of Flag)
        By person, then in the order of `KINDS`.
    """
    pace = pace_of(labels) if with_pace else None
    flags = [
        *(pace.flags if pace else ()),
        *find_constant(labels),
        *find_strangers(labels),
        *find_twins(labels, n_first=n_first),
    ]
    return pace, sorted(flags, key=lambda flag: (flag.person, KINDS.index(flag.kind)))


def pace_of(labels: PeopleLabels) -> Pace:
    """How fast everybody is, and who is too fast.

    The time that a label should take is that of the others on the same item, each corrected for their own pace; where
    nobody else was timed there, the usual time. Too fast is somebody whose quickest quarter of labels is at least three
    times as quick as the middle person's, and outside of what people differ by: with the sampling error of that
    quarter, and the spread of the others' paces, in their favour. Figures: `quarter_seconds`, `usual_seconds` (what a
    person of middling pace would have taken), `times` (how many times as fast), `n`.
    """
    timed = np.flatnonzero(np.isfinite(labels.seconds))
    n = np.bincount(labels.person[timed], minlength=labels.n_people).astype(np.int64)
    nothing = np.full(labels.n_people, np.nan)
    if not len(timed):
        return Pace(n, nothing, nothing, ())
    person, item = labels.person[timed], labels.item[timed]
    took = np.log(np.clip(labels.seconds[timed], 0.05, 3600))
    apart = took - _expected_time(labels, person, item, took)
    order = np.lexsort((apart, person))
    start = np.concatenate([[0], np.cumsum(n)])
    by_time = timed[np.lexsort((labels.seconds[timed], person))]
    quarter, bound, median = nothing.copy(), nothing.copy(), nothing.copy()
    for one in np.flatnonzero(n):
        own = apart[order[start[one] : start[one + 1]]]
        seconds = labels.seconds[by_time[start[one] : start[one + 1]]]
        median[one] = np.median(seconds)
        quarter[one] = own[(len(own) - 1) // 4]
        place = math.ceil(len(own) / 4 + Z * math.sqrt(len(own) * 3 / 16))
        bound[one] = own[place] if place < len(own) else math.inf
    fast = np.bincount(person, weights=apart < math.log(FAST_SHARE), minlength=labels.n_people) / np.maximum(n, 1)
    judged = n >= LEAST_LABELS
    flags: list[Flag] = []
    if judged.sum() >= LEAST_PEOPLE:
        middle = float(np.median(quarter[judged]))
        spread = 1.4826 * float(np.median(np.abs(quarter[judged] - middle)))
        n_others = int(judged.sum()) - 1
        freedom = _PRIOR_PEOPLE + n_others
        spread = math.sqrt((_PRIOR_PEOPLE * _PRIOR_SPREAD**2 + n_others * spread**2) / freedom)
        least = middle - max(math.log(TIMES_FASTER), _student(freedom) * spread)
        for one in np.flatnonzero(judged & (bound < least)):
            shown = timed[order[start[one] : start[one + 1]][:MOST_EVIDENCE]]
            took_first = float(labels.seconds[by_time[start[one] + (n[one] - 1) // 4]])
            times = math.exp(middle - float(quarter[one]))
            told = {"quarter_seconds": took_first, "usual_seconds": took_first * times, "times": times}
            flags.append(Flag("too_fast", int(one), told | {"n": float(n[one])}, shown))
    return Pace(n, median, np.where(n > 0, fast, np.nan), tuple(flags))


def _expected_time(labels: PeopleLabels, person: IntArray, item: IntArray, took: FloatArray) -> FloatArray:
    """The log time of the others on each label's item, without the label's own person; shrunk to the usual by one."""
    n_item = np.bincount(item, minlength=labels.n_items)
    n_person = np.maximum(np.bincount(person, minlength=labels.n_people), 1)
    usual = float(np.median(took))
    own_pace = np.zeros(labels.n_people)
    found = np.full(len(took), usual)
    for _ in range(4):
        even = took - own_pace[person]
        total = np.bincount(item, weights=even, minlength=labels.n_items)
        found = (total[item] - even + usual) / n_item[item]  # (n - 1 others + the usual one) over as many
        own_pace = np.bincount(person, weights=took - found, minlength=labels.n_people) / n_person
        own_pace -= np.median(own_pace[person])
    return found


def _student(freedom: float) -> float:
    """The upper quantile of Student's t at `ALPHA`, by Cornish and Fisher's expansion: good from 10 degrees on."""
    third = (Z**3 + Z) / 4
    fifth = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    seventh = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + third / freedom + fifth / freedom**2 + seventh / freedom**3


def find_constant(labels: PeopleLabels) -> list[Flag]:
    """Who gave one answer many times in a row, on items on which the others differ.

    How often an honest person would give that answer is read from the others on the very items of the run, with eight
    times their odds in the person's favour; a run of L then has a chance of at most that share to the power of L, and
    could have begun at any of the person's labels. Figures: `length`, `others_share` (how often the others gave the
    answer on the run's items), `value` (its code), `n`.
    """
    if not labels.n_labels:
        return []
    order = np.lexsort((labels.at, labels.person))
    person, value = labels.person[order], labels.value[order]
    begins = np.flatnonzero(np.concatenate([[True], (person[1:] != person[:-1]) | (value[1:] != value[:-1])]))
    length = np.diff(np.append(begins, len(order)))
    same = np.add.reduceat(labels.n_same[order], begins)
    beside = np.add.reduceat(labels.n_others[order], begins)
    odds = LEANING * (same + 0.5) / (beside - same + 0.5)
    surprise = length * np.log1p(1 / odds)
    n = np.bincount(labels.person, minlength=labels.n_people)
    of = person[begins]
    is_long = (length >= LEAST_RUN) & (beside >= LEAST_BESIDE_RUN) & (n[of] >= LEAST_LABELS)
    found = np.flatnonzero(is_long & (surprise > np.log(n[of] / ALPHA)))
    flags = {}
    for run in found[np.argsort(surprise[found], kind="stable")]:  # the most surprising one of a person is kept
        own = order[begins[run] : begins[run] + length[run]]
        apart = own[np.argsort((labels.n_same / np.maximum(labels.n_others, 1))[own], kind="stable")]
        flags[int(of[run])] = Flag(
            "constant",
            int(of[run]),
            {
                "length": float(length[run]),
                "others_share": float(same[run] / beside[run]),
                "value": float(value[begins[run]]),
                "n": float(n[of[run]]),
            },
            apart[:MOST_EVIDENCE],
        )
    return list(flags.values())


@dataclass(frozen=True, eq=False)
class Company:
    """How far everybody agrees with the others on the same items beyond chance, (n_people,) each.

    Attributes
    ----------
    n : ndarray of int64
        Labels on items that others labelled.
    agreement, by_chance : ndarray of float64
        Share of others who said the same, and what that would be if the person's answers had nothing to do with the
        items; nan without such labels.
    beyond : ndarray of float64
        ``(agreement - by_chance) / (1 - by_chance)``; nan where the answers leave no room.
    high : ndarray of float64
        Its upper end, one-sided at 1 - `ALPHA`.
    room : ndarray of float64
        Labels on which chance would disagree: what `beyond` rests on.
    """

    n: IntArray
    agreement: FloatArray
    by_chance: FloatArray
    beyond: FloatArray
    high: FloatArray
    room: FloatArray


def company_of(labels: PeopleLabels) -> Company:
    """How far everybody agrees with the others beyond chance; the variance is the delta method's, over labels."""
    left, right = labels.partners
    n_partners = np.maximum(np.bincount(left, minlength=labels.n_labels), 1)
    weight = 1 / n_partners[left]
    has = labels.n_others > 0
    n = np.bincount(labels.person[has], minlength=labels.n_people).astype(np.int64)
    least = np.maximum(n, 1)
    width = labels.n_values
    size = labels.n_people * width

    def shares(codes: IntArray, weights: FloatArray | None) -> FloatArray:
        counts = np.bincount(codes, weights=weights, minlength=size).reshape(labels.n_people, width)
        return counts / least[:, np.newaxis]

    own = shares(labels.person[has] * width + labels.value[has], None)
    others = shares(labels.person[left] * width + labels.value[right], weight)
    by_chance = (own * others).sum(axis=1)
    agrees = np.bincount(left, weights=weight * (labels.value[left] == labels.value[right]), minlength=labels.n_labels)
    expected = others[labels.person, labels.value]
    met = np.bincount(left, weights=weight * own[labels.person[left], labels.value[right]], minlength=labels.n_labels)
    agreement = np.bincount(labels.person[has], weights=agrees[has], minlength=labels.n_people) / least
    room = 1 - by_chance
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.where(room > 1e-12, (agreement - by_chance) / room, np.nan)
        own_room = room[labels.person]
        pull = (agrees - agreement[labels.person]) / own_room
        pull -= (1 - agreement)[labels.person] / own_room**2 * (expected + met - 2 * by_chance[labels.person])
        variance = np.bincount(labels.person[has], weights=pull[has] ** 2, minlength=labels.n_people) / least**2
        trials = n * room
        half = Z * Z / (2 * trials)
        high = beyond + half + Z * np.sqrt(variance + (Z / (2 * trials)) ** 2)
    known = n > 0
    return Company(
        n,
        np.where(known, agreement, np.nan),
        np.where(known, by_chance, np.nan),
        np.where(known, beyond, np.nan),
        np.where(known, high, np.nan),
        np.where(known, trials, 0.0),
    )


def find_strangers(labels: PeopleLabels) -> list[Flag]:
    """Whose answers agree with the others' little more than chance would have it, or less.

    Little is two fifths of the middle person's agreement beyond chance, and the upper end of the person's interval must
    lie below it. Where the middle person agrees no more than chance there is no such flag: then it is the question that
    nobody agrees on. Figures: `agreement`, `by_chance`, `usual` (the middle person's agreement), `n`.
    """
    company = company_of(labels)
    judged = (company.n >= LEAST_LABELS) & np.isfinite(company.beyond)
    if judged.sum() < LEAST_PEOPLE:
        return []
    least = LOW * float(np.median(company.beyond[judged]))
    flags = []
    share = labels.n_same / np.maximum(labels.n_others, 1)
    for one in np.flatnonzero(judged & (company.high < least)):
        own = np.flatnonzero((labels.person == one) & (labels.n_others > 0))
        # Where the others speak with one voice: as many of them as possible, none of whom said the same.
        told = own[np.lexsort((-labels.n_others[own], labels.others_say[own] < 0, share[own]))]
        flags.append(
            Flag(
                "agrees_with_nobody",
                int(one),
                {
                    "agreement": float(company.agreement[one]),
                    "by_chance": float(company.by_chance[one]),
                    "usual": float(np.median(company.agreement[judged])),
                    "n": float(company.n[one]),
                },
                told[:MOST_EVIDENCE],
            )
        )
    return flags


def find_twins(labels: PeopleLabels, *, n_first: int) -> list[Flag]:
    """Which two people agree more than the agreement of each with all others leads to expect.

    Agreement beyond chance of two people is taken as the product of a strength of each, fitted over all pairs; the pair
    itself is left out of its own expectation, and pairs that stand out of a first fit are left out of the second. That
    gets a standard error and two points on top, and the pairs' spread around the fit counts as noise; the chance of
    so much agreement is then a binomial tail, held against `ALPHA` divided by the number of people that the person was
    compared with. Figures: `agreement`, `expected`, `n` (items that both labelled among the first labels).
    """
    left, right = labels.partners
    keep = (labels.rank[left] < labels.rank[right]) & (labels.rank[right] < n_first)
    left, right = left[keep], right[keep]
    if not len(left):
        return []
    one, other = labels.person[left], labels.person[right]
    codes, of = np.unique(np.minimum(one, other) * labels.n_people + np.maximum(one, other), return_inverse=True)
    of = of.ravel()
    is_alike = labels.value[left] == labels.value[right]
    values = np.bincount(np.concatenate([labels.value[left], labels.value[right]]))
    pairs = _Pairs(
        n_people=labels.n_people,
        a=codes // labels.n_people,
        b=codes % labels.n_people,
        n=np.bincount(of).astype(np.float64),
        k=np.bincount(of, weights=is_alike).astype(np.float64),
        by_chance=float(((values / values.sum()) ** 2).sum()),
    )
    if pairs.by_chance > 1 - 1e-9:
        return []
    expected, error = pairs.expect(pairs.n)
    expected, error = pairs.expect(np.where(pairs.apart(expected, error) < STANDS_OUT, pairs.n, 0.0))
    tells = (pairs.n >= LEAST_SHARED) & np.isfinite(expected)
    if not tells.any():
        return []
    apart = pairs.apart(expected, error)[tells]
    noise = max(1.0, (1.4826 * float(np.median(np.abs(apart - np.median(apart))))) ** 2)
    most = np.minimum(expected + ERRORS * error + MARGIN, 0.999)
    agreement = pairs.k / pairs.n
    close = np.flatnonzero(tells & (agreement > most))
    compared = np.bincount(np.concatenate([pairs.a[tells], pairs.b[tells]]), minlength=labels.n_people)
    chance = binomial_tail(pairs.k[close] / noise, pairs.n[close] / noise, most[close])
    allowed = ALPHA / np.maximum(compared[pairs.a[close]], compared[pairs.b[close]])
    flags = []
    share = labels.n_same / np.maximum(labels.n_others, 1)
    for two in close[chance < allowed]:
        figures = {"agreement": float(agreement[two]), "expected": float(expected[two]), "n": float(pairs.n[two])}
        shared = np.flatnonzero((of == two) & is_alike)
        told = left[shared[np.argsort(share[left[shared]], kind="stable")]][:MOST_EVIDENCE]
        both = (int(pairs.a[two]), int(pairs.b[two]))
        flags += [Flag("agree_too_well", who, figures, told, beside) for who, beside in (both, both[::-1])]
    return flags


@dataclass(frozen=True, eq=False)
class _Pairs:
    """People two by two: who they are, items that both labelled, and those on which they said the same."""

    n_people: int
    a: IntArray
    b: IntArray
    n: FloatArray
    k: FloatArray
    by_chance: float

    def apart(self, expected: FloatArray, error: FloatArray) -> FloatArray:
        """How many standard errors each pair agrees beyond what is expected; 0 where nothing is."""
        found = (self.k / self.n - expected) / np.sqrt(expected * (1 - expected) / self.n + error**2 + 1e-12)
        return np.where(np.isfinite(found), found, 0.0)

    def expect(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What each pair should agree on, from each one's agreement with all others, and its standard error.

        `weight`: what each pair counts in the fit. nan where one of the two shares too few items with others.
        """
        a, b = self.a, self.b
        beyond = (self.k / self.n - self.by_chance) / (1 - self.by_chance)

        def over_both(at_a: FloatArray, at_b: FloatArray) -> FloatArray:
            of_a = np.bincount(a, weights=at_a, minlength=self.n_people)
            return (of_a + np.bincount(b, weights=at_b, minlength=self.n_people)).astype(np.float64)

        def sums(strength: FloatArray) -> tuple[FloatArray, FloatArray]:
            top = over_both(weight * beyond * strength[b], weight * beyond * strength[a])
            return top, over_both(weight * strength[b] ** 2, weight * strength[a] ** 2)

        usual = float((weight @ beyond) / max(float(weight.sum()), 1.0))
        strength = np.full(self.n_people, math.sqrt(max(usual, 0.01)))
        for _ in range(30):
            top, foot = sums(strength)
            found = np.clip(top / np.maximum(foot, 1e-9), 0.05, 1.0)
            is_still = float(np.abs(found - strength).max()) < 1e-6
            strength = (found + strength) / 2  # a step of half the way does not swing
            if is_still:
                break
        top, foot = sums(strength)

        def without(own: IntArray, other: IntArray) -> tuple[FloatArray, FloatArray]:
            rest = foot[own] - weight * strength[other] ** 2
            value = np.clip((top[own] - weight * beyond * strength[other]) / np.maximum(rest, 1e-9), 0.0, 1.0)
            return value, rest

        (r_a, rest_a), (r_b, rest_b) = without(a, b), without(b, a)
        expected = self.by_chance + (1 - self.by_chance) * r_a * r_b
        single = expected * (1 - expected) / (1 - self.by_chance) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            error = (1 - self.by_chance) * np.sqrt(single * (r_b**2 / rest_a + r_a**2 / rest_b))
        is_known = (rest_a >= LEAST_SHARED) & (rest_b >= LEAST_SHARED)
        return np.where(is_known, expected, np.nan), np.where(is_known, error, np.nan)
