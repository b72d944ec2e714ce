"""What `simulate learning` prints: a table for people, or all figures of all seeds as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from learning.offline.comparison import MIN_POSITIVE, Report
from learning.offline.labels import shorten

TABLE_ROWS = 12


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain types: figures are means over the seeds, with each seed's own beside them.

    F1 and average precision are null where too few rows that judge have the label that is looked for; labels to a goal
    are null where it is not reached.
    """
    from learning.algorithms.label_efficiency import FIGURES

    found, file = report.comparison, report.file
    known = [name for name in FIGURES if report.is_judged or name == "macro_f1"]
    goals = {name: found.goal(name) if name in known else None for name in FIGURES}
    return {
        "labels": file.names,
        "kind": "several" if file.is_several else "rating" if file.scale is not None else "single",
        "positive": file.names[found.positive],
        "seeds": report.seeds,
        "random_share": report.random_share,
        "estimator": report.estimator,
        "n_pool": found.n_pool,
        "n_holdout": found.n_holdout,
        "n_judging": dict(zip(file.names, report.n_judging.tolist(), strict=True)),
        "full": {name: value if name in known or name not in FIGURES else None for name, value in found.full.items()},
        "goals": goals,
        "strategies": [
            {
                "strategy": curve.strategy,
                # A goal of 0 is reached by saying nothing.
                "labels_to": {name: curve.labels_to(name, goal) if goal else None for name, goal in goals.items()},
                "f1_at_chosen_threshold": float(curve.f1_chosen.mean()) if report.is_judged else None,
                "area": float(curve.areas().mean()),
                "minus_random": _difference(report, curve.strategy),
            }
            for curve in found.curves
        ],
        "curves": {
            curve.strategy: [
                {
                    "n_labels": int(n_labels),
                    "n_random": int(curve.n_random[row]),
                    "n_votes": int(curve.n_votes[row]),
                    "n_positive": float(curve.n_positive[:, row].mean()),
                    **{
                        name: float(values[:, row].mean()) if name in known or name not in FIGURES else None
                        for name, values in curve.figures.items()
                    },
                    "of_seeds": {
                        name: values[:, row].tolist()
                        for name, values in curve.figures.items()
                        if name in known or name not in FIGURES
                    },
                }
                for row, n_labels in enumerate(curve.n_labels)
            ]
            for curve in found.curves
        },
        "cold_start": [
            {
                "strategy": start.strategy,
                "found": dict(zip(("40", "100", "200"), start.found.mean(axis=0).tolist(), strict=True)),
                "ap": float(start.ap.mean()),
            }
            for start in report.cold_starts
        ],
    }


def as_table(report: Report) -> str:
    """The report for people."""
    shown, found = as_json(report), report.comparison
    goals, full = shown["goals"], shown["full"]
    lines = [
        _("%(pool)d rows are asked, %(holdout)d judge; %(seeds)d seeds; the label looked for is %(label)s.")
        % {"pool": found.n_pool, "holdout": found.n_holdout, "seeds": len(report.seeds), "label": _name(shown)},
        _("All labels of the pool give macro-F1 %(macro_f1)s, F1 %(f1)s and average precision %(ap)s.")
        % {name: _figure(value) for name, value in full.items()},
        *_notes(report),
        "",
        _("Labels to 95 %% of that (first number at which the mean of the seeds reaches it):") % (),
        "strategy".ljust(18)
        + f"macro-F1 {_figure(goals['macro_f1'])}".rjust(16)
        + f"F1 {_figure(goals['f1'])}".rjust(12)
        + f"AP {_figure(goals['ap'])}".rjust(12)
        + "F1 chosen".rjust(11)
        + "area".rjust(8)
        + "  minus random [95 %]",
    ]
    for row in shown["strategies"]:
        last = shown["curves"][row["strategy"]][-1]["n_labels"]
        reached = [
            "-" if not goal else f">{last}" if row["labels_to"][name] is None else str(row["labels_to"][name])
            for name, goal in goals.items()
        ]
        gap = row["minus_random"]
        beside = ""
        if gap is not None and gap["interval"]:
            beside = f"  {gap['value']:+.4f} [{gap['interval'][0]:+.4f}, {gap['interval'][1]:+.4f}]"
        lines.append(
            row["strategy"].ljust(18)
            + reached[0].rjust(16)
            + reached[1].rjust(12)
            + reached[2].rjust(12)
            + _figure(row["f1_at_chosen_threshold"]).rjust(11)
            + f"{row['area']:.4f}".rjust(8)
            + beside
        )
    lines += ["", *_legend(found.curves[0].n_labels.tolist()), "", *_curve_lines(shown)]
    if shown["kind"] == "rating":
        lines += ["", *_rating_lines(shown)]
    if report.cold_starts:
        lines += ["", *_cold_lines(report, shown)]
    return "\n".join(lines)


def _notes(report: Report) -> list[str]:
    """What the figures must not be taken for."""
    found, names = report.comparison, report.file.names
    notes = []
    n_positive = int(report.n_judging[found.positive])
    if not report.is_judged:
        notes.append(
            _(
                "Only %(n)d of the rows that judge have the label %(label)s, %(least)d needed: no F1, no AP"
                " (see --positive)."
            )
            % {"n": n_positive, "label": shorten(names[found.positive]), "least": MIN_POSITIVE}
        )
    n_few = int((report.n_judging < MIN_POSITIVE).sum())
    if n_few:
        notes.append(
            _("%(n)d of %(all)d labels are judged by fewer than %(least)d rows each: macro-F1, their mean, is rough.")
            % {"n": n_few, "all": len(names), "least": MIN_POSITIVE}
        )
    return notes


def _legend(n_labels: Sequence[int]) -> list[str]:
    from learning.algorithms.label_efficiency import AREA_LABELS

    return [
        _("F1 chosen: after the last round, at a threshold chosen on out-of-fold scores of the labels. Area: mean"),
        _("macro-F1 over the first %(most)d labels; its difference to random's is seed by seed.")
        % {"most": min(AREA_LABELS, n_labels[-1])},
    ]


def _difference(report: Report, strategy: str) -> dict[str, Any] | None:
    """The area's difference to random, where random was run too."""
    from learning.algorithms.label_efficiency import area_difference

    by_name = {curve.strategy: curve for curve in report.comparison.curves}
    chance = by_name.get("random")
    if chance is None or strategy == "random":
        return None
    return area_difference(by_name[strategy], chance).as_dict()


def _curve_lines(shown: dict[str, Any]) -> list[str]:
    curves = shown["curves"]
    n_points = min(len(curve) for curve in curves.values())
    rows = sorted({round(row) for row in np.linspace(0, n_points - 1, min(TABLE_ROWS, n_points))})
    lines = [
        _("macro-F1 / average precision of %(label)s by number of labels:") % {"label": _name(shown)},
        "labels".rjust(8) + "".join(name.rjust(20) for name in curves),
    ]
    for row in rows:
        cells = [
            f"{_figure(curve[row]['macro_f1'])} / {_figure(curve[row]['ap'])}".rjust(20) for curve in curves.values()
        ]
        lines.append(f"{next(iter(curves.values()))[row]['n_labels']:8}" + "".join(cells))
    return lines


def _rating_lines(shown: dict[str, Any]) -> list[str]:
    """How far off ratings are: right or wrong is not all."""
    lines = [
        _("As a rating, after the last round (points off in the mean, kappa with quadratic weights):"),
        "strategy".ljust(18) + "off by".rjust(8) + "kappa".rjust(8),
    ]
    for name, point in [
        *((name, curve[-1]) for name, curve in shown["curves"].items()),
        (_("all labels"), shown["full"]),
    ]:
        lines.append(name.ljust(18) + f"{point['mean_error']:.3f}".rjust(8) + f"{point['kappa']:.3f}".rjust(8))
    return lines


def _cold_lines(report: Report, shown: dict[str, Any]) -> list[str]:
    n_positive, n_pool = report.n_thinned
    lines = [
        _("From no label, batches of 20; %(label)s thinned to %(n)d of %(pool)d rows. Found, of the labels so far:")
        % {"label": _name(shown), "n": n_positive, "pool": n_pool},
        "strategy".ljust(18) + "@40".rjust(8) + "@100".rjust(8) + "@200".rjust(8) + "AP@200".rjust(10),
    ]
    for start in shown["cold_start"]:
        cells = "".join(f"{start['found'][budget]:.1f}".rjust(8) for budget in ("40", "100", "200"))
        lines.append(start["strategy"].ljust(18) + cells + f"{start['ap']:.3f}".rjust(10))
    return lines


def _name(shown: dict[str, Any]) -> str:
    return shorten(shown["positive"])


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
