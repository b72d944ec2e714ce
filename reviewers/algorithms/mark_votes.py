"""Marks of several people put into groups that mean one thing, and each group put to the vote.

A mark is a labelled rectangle, or a stretch of a text or recording, which is a rectangle one unit high. A submit does
the same in SQL (`reviewers_vote_marks` in `reviewers/sql/marks.sql`); the tests hold the two against each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, islice
from typing import NamedTuple

from reviewers.algorithms.consensus import Rule, State, check_terms, disagreement, escalate

_WHOLE = 10**9  # overlaps are compared in billionths


class Mark(NamedTuple):
    """A rectangle of a part of an item, in whole numbers of one unit, with its label (all ids, or all values)."""

    part: str
    x: int
    y: int
    to_x: int
    to_y: int
    label: int | str

    @property
    def size(self) -> int:
        """The area."""
        return (self.to_x - self.x) * (self.to_y - self.y)


@dataclass(frozen=True)
class Group:
    """Marks that count as one.

    Attributes
    ----------
    mark : Mark
        The one that stands for the group: it is near all others.
    drew : mapping of Mark to frozenset of int
        The different marks of the group, and who drew each: places in the list of answers, from 0.
    """

    mark: Mark
    drew: Mapping[Mark, frozenset[int]]

    @property
    def voters(self) -> frozenset[int]:
        """Who has a mark in the group: each one mark."""
        return frozenset().union(*self.drew.values())


@dataclass(frozen=True)
class MarkVote:
    """What the votes on one question about marks come to: as `Vote`, with the accepted marks as its value."""

    state: State
    value: tuple[Mark, ...] | None
    confidence: float | None
    overlap_wanted: int
    disagreement: float


def group_marks(answers: Sequence[Collection[Mark]], least_overlap: Fraction | None) -> list[Group]:
    """Put the marks of some answers into groups, each with at most one mark of each answer.

    Parameters
    ----------
    answers : sequence of collections of Mark
        One a person; a mark stands in an answer once. An empty answer is an answer.
    least_overlap : Fraction or None
        The least intersection over union of two marks that can be one, above 0 and at most 1. None: they are equal.

    Returns
    -------
    list of Group
        In the order of the marks that stand for them; of no marks none. The same for any order of answers and marks.

    Notes
    -----
    Equal marks of several people are one from the start. Then pairs of marks of one part and label are gone through,
    those that overlap most first, to a billionth; of those that overlap as far, in the order of the marks. The groups
    of the two come together where nobody would have two marks in one, and one mark of the two groups overlaps all
    others of them by `least_overlap`. Of such marks the one that stands for a group has the highest sum of overlaps
    with what the others drew, of several the first. So every mark of a group is near the one that is accepted for it:
    places do not wander along a chain of marks that overlap, as they would with single linkage.

    To match the most alike first and to let no annotator stand twice in a group is how boxes of several detectors are
    put together in non-maximum suppression and weighted boxes fusion (Solovyev, Wang and Gabruseva, 2021, Image and
    Vision Computing 107:104117, doi:10.1016/j.imavis.2021.104117). Those give the highest score or a mean; here it is
    the medoid (Kaufman and Rousseeuw, 1990, Finding Groups in Data, chapter 2, doi:10.1002/9780470316801), so that
    nothing is accepted that nobody drew.

    The cost grows with the pairs of marks that are near, and with the square of the marks of one part and label that
    share a column of the picture.

    Examples
    --------
    >>> a, b, far = (Mark("photo", x, 0, x + 10, 10, 1) for x in (0, 2, 50))
    >>> [(len(one.voters), one.mark.x) for one in group_marks([[a], [b, far], [a]], Fraction(1, 2))]
    [(3, 0), (1, 50)]
    """
    drew: defaultdict[Mark, set[int]] = defaultdict(set)
    for voter, answer in enumerate(answers):
        for mark in answer:
            drew[mark].add(voter)
    marks = sorted(drew)
    overlaps = {} if least_overlap is None else _find_near(marks, drew, least_overlap)
    near: list[set[int]] = [{at} for at in range(len(marks))]
    for one, other in overlaps:
        near[one].add(other)
        near[other].add(one)
    groups = [_Growing({at}, set(drew[mark]), set(near[at])) for at, mark in enumerate(marks)]
    for one, other in sorted(overlaps, key=lambda pair: (-overlaps[pair], pair)):
        left, right = groups[one], groups[other]
        if left is right or left.voters & right.voters:
            continue
        members, common = left.members | right.members, left.common & right.common
        if members & common:  # one of them is near all
            grown = _Growing(members, left.voters | right.voters, common)
            for member in members:
                groups[member] = grown

    def total(at: int) -> int:
        """How far a mark overlaps what everybody in its group drew."""
        pairs = ((other, overlaps.get((min(at, other), max(at, other)), _WHOLE)) for other in groups[at].members)
        return sum(len(drew[marks[other]]) * overlap for other, overlap in pairs)

    found = []
    for at, group in enumerate(groups):
        if at == min(group.members):
            best = min(group.members & group.common, key=lambda member: (-total(member), member))
            found.append(
                Group(marks[best], {marks[member]: frozenset(drew[marks[member]]) for member in sorted(group.members)})
            )
    return sorted(found, key=lambda group: group.mark)


def settle_groups(groups: Sequence[Group], n_votes: int, rule: Rule) -> list[tuple[bool | None, int]]:
    """Put each group to the vote of those who answered.

    Parameters
    ----------
    groups : sequence of Group
        All groups of an item and question.
    n_votes : int
        How many answers there are.
    rule : {"majority", "unanimous"}
        Majority: strictly more than half of the answers. Unanimous: all.

    Returns
    -------
    list of (bool or None, int)
        For each group: whether it is in, out, or undecided (None); and how many answers are for that (for an undecided
        one: for leaving it out).

    Notes
    -----
    A group is in where enough answers have a mark in it. It is out where enough have nothing there: where they have a
    mark that touches one of the group's (in whatever way labelled) and is not in, they do not say that there is
    nothing, only something else. So what all saw and each drew in another way is not dropped, but asked about. While
    no group is in, the whole item is one place: "nothing marked" wants enough empty answers.

    Examples
    --------
    >>> word, letter = Mark("text", 0, 0, 4, 1, 1), Mark("text", 0, 0, 1, 1, 1)
    >>> settle_groups(group_marks([[word], [word], [letter]], None), 3, "majority")
    [(False, 2), (True, 2)]
    >>> settle_groups(group_marks([[word], [letter]], None), 2, "majority")
    [(None, 0), (None, 0)]
    """

    def is_enough(n: int) -> bool:
        return n == n_votes if rule == "unanimous" else 2 * n > n_votes

    rest = [group for group in groups if not is_enough(len(group.voters))]
    there = _find_rivals(rest)
    if len(rest) == len(groups):  # nothing is in: the item is one place
        there = [set().union(*there)] * len(rest)
    n_away = iter(n_votes - len(voters) for voters in there)
    verdicts: list[tuple[bool | None, int]] = []
    for group in groups:
        is_in = is_enough(len(group.voters))
        n = len(group.voters) if is_in else next(n_away)
        verdicts.append((True if is_in else False if is_enough(n) else None, n))
    return verdicts


def vote_marks(
    answers: Sequence[Collection[Mark]],
    overlap_min: int,
    overlap_max: int,
    rule: Rule = "majority",
    *,
    least_overlap: Fraction | None = None,
    least_marks: int = 0,
    most_marks: int | None = None,
    may_touch: bool = True,
) -> MarkVote:
    """Apply the vote rule to one question about marks (spans, boxes, segments): each group of them is voted on.

    Parameters
    ----------
    answers : sequence of collections of Mark, (n_votes,)
        One a person; an empty answer says that there is nothing to mark.
    overlap_min, overlap_max, rule
        As for `vote`.
    least_overlap : Fraction or None
        From which intersection over union on two marks can be the same, above 0 and at most 1; None: they are equal.
    least_marks, most_marks : int
        How many marks an answer to the question has.
    may_touch : bool
        Whether marks of one answer may share a place.

    Returns
    -------
    MarkVote
        Agreed once every group is in or out (`settle_groups`), and those that are in make an answer that the question
        takes; the value is their marks. The confidence is the lowest share of answers that decide a group, 1 where
        nobody marked anything. The disagreement is the highest among the groups: the share of pairs of voters of whom
        one alone has a mark in it.

    Raises
    ------
    ValueError
        If the overlap is no range, or the rule is unknown.

    Notes
    -----
    That of several people's marks those are kept which more than half agree on is consensus by quorum, as image and
    text tools know it. Here a mark that fewer have is dropped only where more than half have nothing at its place.

    Examples
    --------
    >>> one, other = Mark("text", 0, 0, 4, 1, 1), Mark("text", 9, 0, 12, 1, 1)
    >>> found = vote_marks([[one], [one, other], [one]], overlap_min=3, overlap_max=5)
    >>> found.value == (one,), found.confidence
    (True, 0.6666666666666666)
    """
    check_terms((), overlap_min, overlap_max, rule)
    n_votes = len(answers)
    groups = group_marks(answers, least_overlap)
    splits = [(n_votes - len(group.voters), len(group.voters)) for group in groups]
    apart = max((disagreement(split) for split in splits), default=0.0)
    if n_votes >= max(1, overlap_min):
        verdicts = settle_groups(groups, n_votes, rule)
        value = tuple(group.mark for group, (is_in, _n) in zip(groups, verdicts, strict=True) if is_in)
        if (
            all(is_in is not None for is_in, _n in verdicts)
            and least_marks <= len(value)
            and (most_marks is None or len(value) <= most_marks)
            and (may_touch or not any(do_touch(a, b) for a, b in combinations(value, 2)))
        ):
            confidence = min((n / n_votes for _is_in, n in verdicts), default=1.0)
            return MarkVote("agreed", value, confidence, n_votes, apart)
    state, wanted = escalate(n_votes, overlap_min, overlap_max)
    return MarkVote(state, None, None, wanted, apart)


def do_touch(a: Mark, b: Mark) -> bool:
    """Whether two marks share any of one part, however labelled."""
    return a.part == b.part and a.x < b.to_x and b.x < a.to_x and a.y < b.to_y and b.y < a.to_y


def _find_rivals(groups: Sequence[Group]) -> list[set[int]]:
    """Of each group who has a mark in it, or one in another of these groups that touches one of its marks."""
    there = [set(group.voters) for group in groups]
    marks = sorted((mark, at) for at, group in enumerate(groups) for mark in group.drew)
    for place, (mark, at) in enumerate(marks, start=1):
        for other, other_at in islice(marks, place, None):
            if other.part != mark.part or other.x >= mark.to_x:
                break  # they are sorted by x within a part: nor does any further one
            if do_touch(mark, other):
                there[at] |= groups[other_at].drew[other]
                there[other_at] |= groups[at].drew[mark]
    return there


@dataclass(frozen=True)
class _Growing:
    members: set[int]
    voters: set[int]
    common: set[int]  # the marks that are near all members


def _find_near(marks: Sequence[Mark], drew: Mapping[Mark, set[int]], least: Fraction) -> dict[tuple[int, int], int]:
    """The pairs of marks (by their places) that can be one, with their overlap in billionths, rounded half up."""
    of_kin: defaultdict[tuple[str, int | str], list[int]] = defaultdict(list)
    for at, mark in enumerate(marks):
        of_kin[mark.part, mark.label].append(at)
    found = {}
    for places in of_kin.values():
        for first, one in enumerate(places):
            a = marks[one]
            for other in places[first + 1 :]:
                b = marks[other]
                if b.x >= a.to_x:
                    break  # sorted by x within a part: nor does any further one
                common = (min(a.to_x, b.to_x) - b.x) * (min(a.to_y, b.to_y) - max(a.y, b.y))
                either = a.size + b.size - common
                if (
                    a.y < b.to_y
                    and b.y < a.to_y
                    and common > 0
                    and common * least.denominator >= least.numerator * either
                    and not drew[a] & drew[b]
                ):
                    found[one, other] = (2 * _WHOLE * common + either) // (2 * either)
    return found
