"""How often honest people are flagged, how many of those who are not, and how well accuracy is told.

    python -m benchmarks.people_flags --projects 200

Projects are made up (`benchmarks/simulated_people.py`), each from its own seed, in several kinds: what is usual, few
people, many, a rare class, a stop as soon as the labels agree, items in stretches of one class, hard items that invite
one wrong answer, and people who lean far and differ much in pace. A flag on any honest person is a false alarm; the
target is one honest person in a hundred, over all flags. Two kinds more show what the rules cannot tell apart. Then one
person in twenty is replaced by one who is not honest. `--seed` makes other projects; the same seed gives the same
table on any machine.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Check, Measurement, say
from benchmarks.simulated_people import CHEATS, Crowd, Drawn
from reviewers.algorithms.intervals import wilson
from reviewers.algorithms.person_accuracy import References, accuracy_of, trend_of, weeks_of
from reviewers.algorithms.person_flags import FALSE_ALARMS, KINDS, find_flags

HONEST = {
    "usual: 20 people, 300 labels each, overlap 3": Crowd(),
    "short: 20 people, 60 labels each": Crowd(labels=60),
    "long: 20 people, 2,000 labels each": Crowd(labels=2000),
    "five people": Crowd(people=5),
    "a hundred people": Crowd(people=100),
    "two labels an item, a third where they differ": Crowd(first=2, most=3),
    "two labels an item": Crowd(first=2, most=2),
    "a rare class: 95 and 5 %": Crowd(prevalence=(0.95, 0.05)),
    "stretches of 60 items of one class": Crowd(stretches=60, prevalence=(0.5, 0.5)),
    "hard items with one tempting answer": Crowd(hard=0.6, lure=0.95),
    "people who lean far and differ much in pace and skill": Crowd(leaning=0.8, pace=0.5, skill=(6.0, 2.0)),
}
# What the rules cannot tell from something else: shown, and held to nothing.
LIMITS = {
    "two of 20 read a clause in their own way": Crowd(school=2),
    "six of 20 read a clause in their own way": Crowd(school=6),
}
BASES = {
    "300 labels each": Crowd(),
    "100 labels each": Crowd(labels=100),
    "300 labels each, two an item, a third where they differ": Crowd(first=2, most=3),
}


def main() -> int:
    """Draw, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="append the result to this file as well")
    args = parser.parse_args()
    measurement = Measurement("flags on simulated people", args.out)
    figures: dict[str, Any] = {"projects of each kind": args.projects, "seed": args.seed}
    checks: list[Check] = []
    for number, (name, crowd) in enumerate(HONEST.items()):
        found = judge_honest(crowd, args.projects, args.seed * 1000 + number)
        figures[name] = found
        say(f"{name}: {found}")
        checks.append(Check(f"{name}: honest people flagged", found["flagged"], "<=", FALSE_ALARMS))
    for number, (name, crowd) in enumerate(LIMITS.items()):
        figures[name] = found = judge_honest(crowd, args.projects, args.seed * 1000 + 50 + number)
        say(f"{name}: {found}")
    for number, (base, crowd) in enumerate(BASES.items()):
        for place, cheat in enumerate(CHEATS):
            seed = args.seed * 1000 + 100 * (number + 1) + place
            figures[f"{cheat}; {base}"] = found = judge_cheat(crowd, cheat, args.projects, seed)
            say(f"{cheat}; {base}: {found}")
    figures["accuracy"] = found = judge_accuracy(args.projects, args.seed * 1000 + 900)
    say(f"accuracy: {found}")
    return 0 if measurement.finish(figures, checks) else 1


def judge_honest(crowd: Crowd, projects: int, seed: int) -> dict[str, Any]:
    """The share of people with a flag of each kind, and with any; and of projects where a trend was seen."""
    n: Counter[str] = Counter()
    for number in range(projects):
        drawn = crowd.draw(np.random.default_rng([seed, number]))
        _pace, flags = find_flags(drawn.labels, n_first=crowd.first)
        for kind in KINDS:
            n[kind] += len({flag.person for flag in flags if flag.kind == kind})
        n["flagged"] += len({flag.person for flag in flags})
        n["trend"] += bool((_trend(drawn) < 0.05).any())
    n_people = projects * crowd.people
    shares = {kind: round(n[kind] / n_people, 5) for kind in ("flagged", *KINDS)}
    high = round(wilson(n["flagged"], n_people)[1], 5)
    return {"people": n_people, **shares, "flagged, upper end": high, "projects with a trend": n["trend"] / projects}


def _trend(drawn: Drawn) -> Any:
    labels = drawn.labels
    p = trend_of(weeks_of(labels, References.of(labels, agreed_items=labels.item_ids).agreed)).p_adjusted
    return p[~np.isnan(p)]


def judge_cheat(crowd: Crowd, cheat: str, projects: int, seed: int) -> dict[str, Any]:
    """How often the one who is not honest is flagged, by which flags, and how often somebody else is."""
    person = crowd.people - 1
    planted = replace(crowd, cheats={person: cheat})
    beside = {person, person - 1} if cheat.startswith("copies") else {person}
    n: Counter[str] = Counter()
    for number in range(projects):
        drawn = planted.draw(np.random.default_rng([seed, number]))
        _pace, flags = find_flags(drawn.labels, n_first=crowd.first)
        for kind in {flag.kind for flag in flags if flag.person == person}:
            n[kind] += 1
        n["found"] += any(flag.person == person for flag in flags)
        n["others"] += len({flag.person for flag in flags} - beside)
    shares = {kind: round(n[kind] / projects, 3) for kind in ("found", *KINDS) if n[kind] or kind == "found"}
    return {**shares, "others flagged": round(n["others"] / (projects * (crowd.people - len(beside))), 5)}


def judge_accuracy(projects: int, seed: int) -> dict[str, Any]:
    """How far accuracy beside the others, and beside the truth as if it were known, is from what it is.

    Nobody leans here, so that the true accuracy is known.
    """
    found: dict[str, Any] = {}
    for labels_each in (30, 100, 300):
        for name, crowd in (
            ("three labels an item", Crowd(labels=labels_each, leaning=0.0)),
            ("two, a third where they differ", Crowd(labels=labels_each, leaning=0.0, first=2, most=3)),
        ):
            bias, raw, shrunk, covered = [], [], [], []
            for number in range(projects):
                drawn = crowd.draw(np.random.default_rng([seed, number]))
                labels = drawn.labels
                long_run = _long_run(crowd, drawn.skill)
                agreed = References.of(labels, agreed_items=labels.item_ids[_is_settled(drawn)])
                bias.append(accuracy_of(labels, agreed.agreed).value.mean() - long_run.mean())
                gold = References.of(labels, gold=(labels.item_ids, drawn.truth[labels.item_ids])).gold
                known = accuracy_of(labels, gold)
                raw.append(((known.n_right / known.n - long_run) ** 2).mean())
                shrunk.append(((known.value - long_run) ** 2).mean())
                covered.append(((known.interval[:, 0] <= long_run) & (long_run <= known.interval[:, 1])).mean())
            found[f"{labels_each} labels each, {name}"] = {
                "agreed minus true, mean": round(float(np.mean(bias)), 4),
                "error of the raw share": round(float(np.sqrt(np.mean(raw))), 4),
                "error of the shrunk share": round(float(np.sqrt(np.mean(shrunk))), 4),
                "intervals that hold the truth": round(float(np.mean(covered)), 3),
            }
    return found


def _long_run(crowd: Crowd, skill: Any) -> Any:
    """What each person's accuracy would be over endless items, where nobody leans."""
    k = len(crowd.prevalence)
    return skill * (1 - crowd.hard) + crowd.hard * (skill * 0.5 + 0.5 / k)


def _is_settled(drawn: Drawn) -> Any:
    """Items on which more than half of the labels agree."""
    labels = drawn.labels
    votes = np.zeros((labels.n_items, labels.n_values))
    np.add.at(votes, (labels.item, labels.value), 1)
    return votes.max(axis=1) * 2 > np.diff(labels.start)


if __name__ == "__main__":
    sys.exit(main())
