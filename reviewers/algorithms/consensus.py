"""The vote rule, stated once without a database: when is a question agreed, still open, or disputed?

A submit applies the same rule in SQL; the tests hold the two against each other. Rules that weigh annotators by their
skill are no votes and live elsewhere; marks are voted on in `mark_votes.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Literal

Rule = Literal["majority", "unanimous"]
State = Literal["open", "agreed", "disputed"]


@dataclass(frozen=True)
class Vote:
    """What the votes on one question of one item come to.

    Attributes
    ----------
    state : {"open", "agreed", "disputed"}
        Open: more annotators are asked. Disputed: they are used up, a reviewer decides.
    value : int, tuple of int, or None
        The accepted code (for `choices`: the accepted codes, ascending, perhaps none); None unless agreed.
    confidence : float or None
        Share of the votes behind the value, above 1/2 and at most 1; None unless agreed.
    overlap_wanted : int
        How many votes the item should get in all: more than there are exactly where the state is open.
    disagreement : float
        Share of the pairs of voters who differ, 0 (all alike) to 1; 0 with fewer than two votes.
    """

    state: State
    value: int | tuple[int, ...] | None
    confidence: float | None
    overlap_wanted: int
    disagreement: float


@dataclass(frozen=True)
class NumberVote:
    """What the votes on one `number` question come to: as `Vote`, with the accepted number as its value."""

    state: State
    value: float | None
    confidence: float | None
    overlap_wanted: int
    disagreement: float


def vote(counts: Sequence[int], n_votes: int, overlap_min: int, overlap_max: int, rule: Rule = "majority") -> Vote:
    """Apply the vote rule to one `choice` or `rating` question (a rating is a choice among its integers).

    So it is for whole answers that are counted, such as rankings: each different one is a code.

    Parameters
    ----------
    counts : sequence of int, (n_values,)
        Votes for each code.
    n_votes : int
        People who were asked and answered: the sum of `counts`.
    overlap_min, overlap_max : int
        Fewest votes that may settle the question, and most that are asked for; ``1 <= min <= max``.
    rule : {"majority", "unanimous"}
        Majority: strictly more than half of the votes. Unanimous: all of them.

    Returns
    -------
    Vote
        Below `overlap_min` always open, wanting `overlap_min`. Then agreed where the rule is met; else open for one
        vote more, up to `overlap_max`; else disputed. Votes beyond `overlap_max` count like any other.

    Raises
    ------
    ValueError
        If counts are negative, do not sum to `n_votes`, the overlap is no range, or the rule is unknown.

    Examples
    --------
    >>> vote([2, 1], 3, overlap_min=3, overlap_max=5)
    Vote(state='agreed', value=0, confidence=0.6666666666666666, overlap_wanted=3, disagreement=0.6666666666666666)
    >>> vote([1, 1], 2, overlap_min=2, overlap_max=3).overlap_wanted
    3
    >>> vote([1, 1, 1], 3, overlap_min=2, overlap_max=3).state
    'disputed'
    """
    check_terms(counts, overlap_min, overlap_max, rule)
    if sum(counts) != n_votes:
        raise ValueError(f"{sum(counts)} votes counted, {n_votes} stated")
    apart = disagreement(counts)
    winner = _winner(counts, n_votes, rule) if n_votes >= overlap_min else None
    if winner is None:
        state, wanted = escalate(n_votes, overlap_min, overlap_max)
        return Vote(state, None, None, wanted, apart)
    return Vote("agreed", winner, counts[winner] / n_votes, n_votes, apart)


def vote_choices(
    chosen: Sequence[int], n_votes: int, overlap_min: int, overlap_max: int, rule: Rule = "majority"
) -> Vote:
    """Apply the vote rule to one `choices` question: each choice is a yes-or-no vote of everybody who answered.

    Parameters
    ----------
    chosen : sequence of int, (n_choices,)
        How many people ticked each choice, 0 to `n_votes`.
    n_votes : int
        People who answered; an answer without any tick is an answer.
    overlap_min, overlap_max, rule
        As for `vote`.

    Returns
    -------
    Vote
        Agreed once every choice is settled: the value is the tuple of accepted codes, the confidence the lowest among
        the choices. The disagreement is the highest among the choices, so that a long list of choices that nobody
        ticks does not hide a split over one.

    Raises
    ------
    ValueError
        As `vote`, and where a choice was ticked more often than people answered.

    Examples
    --------
    >>> vote_choices([3, 1, 0], 3, overlap_min=3, overlap_max=3).value
    (0,)
    """
    check_terms(chosen, overlap_min, overlap_max, rule)
    if n_votes < 0 or max(chosen, default=0) > n_votes:
        raise ValueError(f"a choice was ticked {max(chosen, default=0)} times by {n_votes} voters")
    splits = [(n_votes - ticks, ticks) for ticks in chosen]
    apart = max((disagreement(split) for split in splits), default=0.0)
    settled = [_winner(split, n_votes, rule) for split in splits] if n_votes >= overlap_min else [None]
    if None in settled:
        state, wanted = escalate(n_votes, overlap_min, overlap_max)
        return Vote(state, None, None, wanted, apart)
    value = tuple(code for code, is_chosen in enumerate(settled) if is_chosen)
    confidence = min((max(split) / n_votes for split in splits), default=1.0)
    return Vote("agreed", value, confidence, n_votes, apart)


def vote_numbers(
    numbers: Sequence[float],
    overlap_min: int,
    overlap_max: int,
    rule: Rule = "majority",
    tolerance: float = 0.0,
) -> NumberVote:
    """Apply the vote rule to one `number` question: the middle vote stands for those within `tolerance` of it.

    Parameters
    ----------
    numbers : sequence of float, (n_votes,)
        One finite number a vote.
    overlap_min, overlap_max, rule
        As for `vote`.
    tolerance : float
        How far apart two numbers may lie and still be the same answer; 0 or more.

    Returns
    -------
    NumberVote
        Agreed where more than half of the votes (all of them, under unanimous) lie within `tolerance` of the median;
        the value is that median, for an even number of votes the lower of the two in the middle, so that it is always a
        number that somebody gave. The disagreement is the share of pairs further apart than `tolerance`.

    Raises
    ------
    ValueError
        If the tolerance is negative, the overlap is no range, or the rule is unknown.

    Notes
    -----
    With a tolerance of 0 this is `vote` over the different numbers. Where more than half of the votes lie within some
    window as wide as the tolerance, the median lies in it, so that they settle the question wherever the others are.
    Differences are taken in decimals, as people wrote them: as doubles 0.4 and 0.3 lie more than 0.1 apart.

    Examples
    --------
    >>> found = vote_numbers([10, 12, 90, 11.5], overlap_min=3, overlap_max=5, tolerance=2)
    >>> found.value, found.confidence, found.disagreement
    (11.5, 0.75, 0.5)
    """
    check_terms((), overlap_min, overlap_max, rule)
    if tolerance < 0:
        raise ValueError(f"tolerance {tolerance}: must be 0 or more")
    exact, reach, n_votes = [Fraction(str(number)) for number in numbers], Fraction(str(tolerance)), len(numbers)
    n_pairs = n_votes * (n_votes - 1) // 2
    n_apart = sum(abs(a - b) > reach for a, b in combinations(exact, 2))
    apart = n_apart / n_pairs if n_pairs else 0.0
    if n_votes >= overlap_min:
        middle = sorted(numbers)[(n_votes - 1) // 2]
        n_near = sum(abs(one - Fraction(str(middle))) <= reach for one in exact)
        if _winner([n_near], n_votes, rule) is not None:
            return NumberVote("agreed", middle, n_near / n_votes, n_votes, apart)
    state, wanted = escalate(n_votes, overlap_min, overlap_max)
    return NumberVote(state, None, None, wanted, apart)


def disagreement(counts: Sequence[int]) -> float:
    """Share of the pairs of voters who differ: ``1 - sum c(c-1) / (n(n-1))``.

    Parameters
    ----------
    counts : sequence of int, (n_values,)
        Votes for each code.

    Returns
    -------
    float
        0 (all alike, or fewer than two votes) to 1 (no two alike). It is 1 minus the item's raw agreement.

    References
    ----------
    The item's term of Fleiss (1971), Psychological Bulletin 76:378-382, doi:10.1037/h0031619.

    Examples
    --------
    >>> disagreement([2, 2])
    0.6666666666666666
    """
    n = sum(counts)
    if n < 2:
        return 0.0
    n_pairs = n * (n - 1)
    return (n_pairs - sum(c * (c - 1) for c in counts)) / n_pairs


def _winner(counts: Sequence[int], n_votes: int, rule: Rule) -> int | None:
    """The code that the rule accepts. At most one can hold more than half, so there is never a tie to break."""
    if rule == "unanimous":
        return next((code for code, votes in enumerate(counts) if votes == n_votes), None)
    return next((code for code, votes in enumerate(counts) if 2 * votes > n_votes), None)


def escalate(n_votes: int, overlap_min: int, overlap_max: int) -> tuple[State, int]:
    """The state of a question on which the rule is not met, and how many votes it should get in all."""
    if n_votes < overlap_max:
        return "open", max(overlap_min, n_votes + 1)
    return "disputed", n_votes


def check_terms(counts: Sequence[int], overlap_min: int, overlap_max: int, rule: Rule) -> None:
    """Raise ValueError for negative votes, an overlap that is no range, or an unknown rule."""
    if min(counts, default=0) < 0:
        raise ValueError("votes cannot be negative")
    if not 1 <= overlap_min <= overlap_max:
        raise ValueError(f"overlap {overlap_min} to {overlap_max}: must be 1 <= min <= max")
    if rule not in ("majority", "unanimous"):
        raise ValueError(f"no vote rule is called {rule!r}; there are 'majority' and 'unanimous'")
