"""Davidson's 24,783 tweets, three simulated annotators, ten rounds of 100: strategies compared through the real queue.

    .venv/bin/python -m benchmarks.learning_curve [--data FOLDER]

Everything runs as it does for people: the file is imported, items are leased and answered through the queue, votes
decide inside the submit, a reviewer settles ties, rounds are jobs. Only the annotators are simulated: each draws one
of the votes that people gave the tweet, without replacement. Projects with the same seed differ in the strategy
alone. Prints the section of `docs/active-learning.md` and writes `docs/learning-curve.svg`. The data lie in
`shared/data` beside the checkout.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import os
import platform
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.queue_team import Team, run_alone

ROOT = Path(__file__).resolve().parents[1]
CHOICES = ("hate_speech", "offensive_language", "neither")
# Item ids are random, and with them what a seed picks: chance is shown by running it more than once.
RUNS = {"adaptive": "adaptive", "margin": "margin", "random": "random", "random, 2nd": "random"}
ROUNDS, BATCH, OVERLAP = 10, 100, 3
N_HOLDOUT = 1000
SEED = 1
COMMAND = ".venv/bin/python -m benchmarks.learning_curve"
QUESTIONS = [
    {"name": "verdict", "kind": "choice", "required": True, "choices": [{"value": value} for value in CHOICES]}
]


def read_tweets(folder: Path) -> list[dict[str, str]]:
    """The rows of the file."""
    with lzma.open(folder / "davidson_labeled_data.csv.xz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def as_import(rows: list[dict[str, str]]) -> bytes:
    """The rows as a file to import: the tweet, and its votes as metadata that no annotator is shown."""
    lines = []
    for row in rows:
        item = {
            "external_id": f"tweet-{row['']}",
            "parts": [{"kind": "text", "text": row["tweet"]}],
            "metadata": {"votes": [int(row[choice]) for choice in CHOICES], "class": int(row["class"])},
        }
        lines.append(json.dumps(item) + "\n")
    return "".join(lines).encode()


class Tweeters(Team):
    """A project of tweets, its three simulated annotators and its simulated reviewer."""

    def __init__(self, slug: str, strategy: str, rows: list[dict[str, str]]) -> None:
        learning = {"strategy": strategy, "batch": BATCH, "random_share": 0.0, "holdout_share": 1.0, "every": None}
        super().__init__(
            slug,
            QUESTIONS,
            {"overlap": OVERLAP, "learning": learning},
            name="tweets.jsonl",
            data=as_import(rows),
            answer=lambda item, number: {"verdict": CHOICES[answer_of(item.external_id, item.metadata, number)]},
            n_annotators=OVERLAP,
            seed=SEED,
        )
        self.n_ties = 0

    def label(self, n: int) -> None:
        """Everybody answers `n` items; then the reviewer settles the ties."""
        super().label(n)
        self.settle()

    def settle(self) -> None:
        """The reviewer decides what the three could not: by the file's own majority."""
        from annotation.models import Item, QueueRow
        from reviewers.actions.adjudication import adjudicate

        access = self.access(self.owner)
        tied = QueueRow.objects.filter(project=self.project, kind=1, state=QueueRow.State.DISPUTED)
        for item in Item.objects.filter(pk__in=tied.values("item")).order_by("pk"):
            adjudicate(
                access=access, item=item, answers={"verdict": CHOICES[item.metadata["class"]]}, reason="ambiguous"
            )
            self.n_ties += 1

    def fill_holdout(self) -> None:
        """All work from the holdout until enough of it is settled; then the events close its share, as they do live."""
        from annotation.events import dispatch_events
        from annotation.models import Project

        self.label(N_HOLDOUT)
        dispatch_events()
        share = Project.objects.values_list("holdout_share_now", flat=True).get(pk=self.project.pk)
        assert share == 0, share

    def play_and_judge(self) -> dict[str, Any]:
        """One round; the point of the curve that it made."""
        from learning.questions import learnable_questions
        from learning.reports import learning_curve

        seconds = self.play()
        return {**learning_curve(self.project, learnable_questions(self.project)[0])[-1], "seconds": seconds}


def answer_of(external_id: str, metadata: dict[str, Any], number: int) -> int:
    """What annotator `number` says: their draw from the tweet's own votes, without replacement."""
    votes = np.repeat(np.arange(len(CHOICES)), metadata["votes"])
    order = np.random.default_rng([SEED, zlib.crc32(external_id.encode())]).permutation(len(votes))
    return int(votes[order[number]]) if number < len(votes) else int(metadata["class"])


def run(folder: Path) -> None:
    """All runs, the offline check, and the page."""
    rows = read_tweets(folder)
    started = time.monotonic()
    curves: dict[str, list[dict[str, Any]]] = {}
    teams: dict[str, Tweeters] = {}
    for number_of_run, (run_name, strategy) in enumerate(RUNS.items(), start=1):
        team = teams[run_name] = Tweeters(f"tweets-{number_of_run}", strategy, rows)
        team.fill_holdout()
        curves[run_name] = []
        for number in range(1, ROUNDS + 1):
            team.label(BATCH)  # the first hundred in the order of the pool, a fair sample; then what the round raised
            point = team.play_and_judge()
            curves[run_name].append(point)
            value = point["macro_f1"]["value"]
            print(f"{run_name}: round {number}, {point['n_train']} labels, macro-F1 {value:.3f}", file=sys.stderr)
    seconds = time.monotonic() - started
    ROOT.joinpath("docs", "learning-curve.svg").write_text(draw(curves), encoding="utf-8")
    print(describe(len(rows), curves, teams, seconds))


def describe(n_rows: int, curves: dict[str, list[dict[str, Any]]], teams: dict[str, Tweeters], seconds: float) -> str:
    """The section of docs/active-learning.md, as Markdown."""

    def cell(point: dict[str, Any]) -> str:
        figure = point["macro_f1"]
        if figure["value"] is None:
            return str(figure["refusal"])
        low, high = figure["interval"]
        return f"{figure['value']:.3f} [{low:.3f}, {high:.3f}]"

    n = curves["random"][-1]["macro_f1"]["n_items"]
    table = "\n".join(
        f"| {row[0]['n_train']} | {' | '.join(cell(point) for point in row)} |"
        for row in zip(*curves.values(), strict=True)
    )
    heads = f"| Labels | {' | '.join(curves)} |\n|---|{'---|' * len(curves)}"
    round_seconds = np.mean([point["seconds"] for curve in curves.values() for point in curve])
    answers = sum(team.n_answers for team in teams.values())
    ties = sum(team.n_ties for team in teams.values())
    return f"""## Through the real queue

```
{COMMAND}
```

{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, embedded PostgreSQL.
Davidson's {n_rows:,} tweets, three simulated annotators for each item, {ROUNDS} rounds of {BATCH}; import, leases,
answers, the vote rule, a reviewer's decision on ties ({answers:,} answers, {ties} ties) and the round's job as in
real use. All runs took {seconds:.0f} s, a round {round_seconds:.1f} s (reading, features, fit, holdout, scores of
the whole pool, selection).

![Macro-F1 on the holdout by labels used for training, with 95 % intervals](learning-curve.svg)

Macro-F1 [95 % interval] by labels used for training, on {n} holdout items, the same ones in every run:

{heads}
{table}

{say_what_it_shows(curves)}

All projects have the same seed: the same holdout and the same first hundred items, and no share by chance. Item ids
are random, and with them what a seed picks at random, so runs of one strategy differ from each other and from those
of another day. With about 60 tweets of hate speech among them even 1,000 holdout items leave intervals wider than the
gain of a strategy: the tables above, over five seeds and 20 % of the file, are the ones to go by.
"""


def say_what_it_shows(curves: dict[str, list[dict[str, Any]]]) -> str:
    """At how many sizes each strategy is ahead of every run of random, and where the intervals tell them apart."""
    chance = {name: curve for name, curve in curves.items() if RUNS[name] == "random"}
    lines = []
    for name in [name for name in curves if name not in chance]:
        ahead, apart = [], []
        for row, point in enumerate(curves[name][1:], start=1):
            figure, others = point["macro_f1"], [curve[row]["macro_f1"] for curve in chance.values()]
            if all(figure["value"] > other["value"] for other in others):
                ahead.append(str(point["n_train"]))
            if all(figure["interval"][0] > other["interval"][1] for other in others):
                apart.append(str(point["n_train"]))
        lines.append(
            f"- {name} is ahead of both runs of random at {', '.join(ahead) or 'no'} labels, and above their intervals"
            f" at {', '.join(apart) or 'none'}"
        )
    return "\n".join(lines)


def draw(curves: dict[str, list[dict[str, Any]]]) -> str:
    """The curves as one SVG: lines, bands of the intervals, names beside the lines."""
    width, height, left, right, top, bottom = 760, 380, 56, 110, 24, 48
    points = [point for curve in curves.values() for point in curve]
    ends = [end for point in points for end in (point["macro_f1"]["interval"] or ())]
    low, high = np.floor(min(ends) * 10) / 10, np.ceil(max(ends) * 10) / 10
    last = max(point["n_train"] for point in points)

    def x(value: float) -> float:
        return float(left + (width - left - right) * value / last)

    def y(value: float) -> float:
        return float(height - bottom - (height - top - bottom) * (value - low) / (high - low))

    def path(pairs: list[tuple[float, float]]) -> str:
        return " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in pairs)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="sans-serif"'
        ' font-size="12" fill="#444">',
        "<title>Macro-F1 on the holdout by labels used for training</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for tick in np.arange(low, high + 0.01, 0.1):
        parts.append(f'<path d="M{left} {y(tick):.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.1f}</text>')
    for tick in range(0, last + 1, 200):
        parts.append(f'<text x="{x(tick):.1f}" y="{height - bottom + 18}" text-anchor="middle">{tick}</text>')
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle}" y="{height - 8}" text-anchor="middle">labels used for training</text>')
    parts.append(f'<text x="8" y="{top - 8}">macro-F1, 95 % interval</text>')
    names: list[tuple[float, str, str]] = []
    looks = {
        "adaptive": ("#0072b2", ""),
        "margin": ("#009e73", ' stroke-dasharray="9 3"'),
        "random": ("#d55e00", ' stroke-dasharray="6 4"'),
    }
    for name, curve in curves.items():
        if name not in looks:  # repeated: a thin line, without band and name
            again = path([(p["n_train"], p["macro_f1"]["value"]) for p in curve if p["macro_f1"]["value"] is not None])
            look = 'fill="none" stroke="#d55e00" stroke-dasharray="2 4"'
            parts.append(f'<polyline points="{again}" {look}><title>{name}</title></polyline>')
            continue
        colour, dash = looks[name]
        known = [(p["n_train"], p["macro_f1"]) for p in curve if p["macro_f1"]["value"] is not None]
        around = [(n, f["interval"][1]) for n, f in known] + [(n, f["interval"][0]) for n, f in reversed(known)]
        parts.append(f'<polygon points="{path(around)}" fill="{colour}" opacity="0.15"/>')
        line = path([(n, f["value"]) for n, f in known])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        figure = known[-1][1]
        names.append((y(figure["value"]) + 4, f"{name} {figure['value']:.2f}", colour))
    lowest = -np.inf
    for height_of, label, colour in sorted(names):  # names of curves that end together must not cover each other
        lowest = max(lowest + 14, height_of)
        place = f'x="{x(last) + 8:.1f}" y="{lowest:.1f}" fill="{colour}" font-weight="600"'
        parts.append(f"<text {place}>{label}</text>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Run on servers and folders of its own, which go at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    run_alone(lambda: run(options.data))


if __name__ == "__main__":
    main()
