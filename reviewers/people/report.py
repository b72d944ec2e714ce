"""How reliable each person of a project is on one question: accuracy, confusion, weeks, pace, and reasons to look.

What one person is told of themselves is `own_report`: no flags, nothing of anybody else but what people are in the
middle. Simulated people are measured beside everybody, all others beside people alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import numpy as np
from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.access import Access, parse_id
from annotation.actions.carrying import is_carrying
from annotation.errors import AbsentError
from annotation.kinds import Question
from annotation.kinds.choice_tree import name_choices
from annotation.models import Item, Member, Project, User
from annotation.pace import is_paced
from annotation.serializers import show_time
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.intervals import wilson
from reviewers.algorithms.people import BoolArray, PeopleLabels
from reviewers.algorithms.person_accuracy import (
    LEVEL,
    MEASURES,
    Accuracy,
    Measure,
    References,
    accuracy_of,
    confusion_of,
    trend_of,
    weeks_of,
)
from reviewers.algorithms.person_flags import Flag, find_flags, pace_of
from reviewers.people.loading import MEASURED_KINDS, PeopleRows, load_people
from reviewers.people.scorecards import LEAST_LABELS

Row = dict[str, Any]
ONESELF = "me"
LEAST_OF_WEEK = 5  # labels with a reference, below which a week has no figure
# What took longer than this is kept for a minute, or a hundred times as long as it took, by each web process.
SLOW_SECONDS, KEPT_SECONDS, KEPT_TIMES = 0.2, 60, 100
OWN_SECONDS = 3600
# Beside these kinds nothing is compared; pace is told all the same.
NO_COMPARISON = "answers of the kind {kind} are not compared between people"


def people_report(project: Project, question: Question) -> Row:
    """Everybody who labelled a question, by name.

    Parameters
    ----------
    project, question
        A project and a compiled question of it.

    Returns
    -------
    dict
        `{"question", "computed_at", "refusal", "n_items", "n_labels", "is_sample", "is_paced", "n_simulated", "means",
        "weeks", "people"}`. `refusal` says why nothing is compared, or None. `means`: measure -> mean and weight of
        what people are shrunk towards, or None. `weeks`: everybody's, as in a person's row. `people`: person id -> row:
        `{"id", "name", "source", "n_labels", "accuracy": {measure: metric}, "pace", "weeks", "trend", "confusion",
        "flags"}`. In a large project it may be minutes old.
    """
    key = f"people:{project.pk}:{project.schema_id}:{question['id']}"
    found: Row | None = cache.get(key)
    if found is None:
        started = monotonic()
        found = _compute(project, question)
        took = monotonic() - started
        if took > SLOW_SECONDS:
            cache.set(key, found, max(KEPT_SECONDS, KEPT_TIMES * took))
    return found


def person_for(access: Access, person_id: str) -> User:
    """The person that an address names; `me` is the caller. Raises AbsentError, ForbiddenError.

    Others are for those who may review; to them somebody who neither is a member nor labelled here is absent.
    """
    if person_id == ONESELF or person_id == str(access.user.pk):
        return access.user
    access.require("review")
    person = User.objects.filter(pk=parse_id(person_id)).first()
    if person is None:
        raise AbsentError
    is_member = Member.objects.filter(project=access.project, user=person).exists()
    if not is_member and not person.annotations.filter(project=access.project).exists():
        raise AbsentError
    return person


def own_report(project: Project, question: Question, person_id: int) -> Row:
    """The report as somebody is told of themselves: their row alone (if they have a label), without flags.

    It is made anew once an hour: from figures that follow each label one could read what single items are known as.
    """
    key = f"people-own:{project.pk}:{project.schema_id}:{question['id']}:{person_id}"
    found: Row | None = cache.get(key)
    if found is None:
        report = people_report(project, question)
        rows = {pk: {**row, "flags": []} for pk, row in report["people"].items() if pk == person_id}
        found = {**report, "people": rows}
        if rows:
            cache.set(key, found, OWN_SECONDS)
    return found


def report_for(access: Access, question: Question, person: User) -> Row:
    """The report in which somebody may read about this person (see `person_for`): whole, or their own part."""
    if access.may("review"):
        return people_report(access.project, question)
    return own_report(access.project, question, person.pk)


def _compute(project: Project, question: Question) -> Row:
    may_pace = is_paced(project)
    report: Row = {
        "question": question["name"],
        "computed_at": show_time(timezone.now()),
        "refusal": None,
        "n_items": 0,
        "n_labels": 0,
        "is_sample": False,
        "is_paced": may_pace,
        "n_simulated": 0,
        "means": dict.fromkeys(MEASURES),
        "weeks": [],
        "people": {},
    }
    if is_carrying(project):
        return report | {"refusal": _("labels are being carried over to a new version of the label schema")}
    rows = load_people(project, question)
    report |= {"n_items": len(np.unique(rows.item)), "n_labels": len(rows.item), "is_sample": rows.is_sample}
    is_compared = question["kind"] in MEASURED_KINDS
    if not is_compared:
        report["refusal"] = NO_COMPARISON.format(kind=question["kind"])
    people = {user.pk: user for user in User.objects.filter(pk__in=np.unique(rows.person).tolist())}
    simulated = [pk for pk, user in people.items() if user.kind == User.Kind.SIMULATED]
    is_simulated = np.isin(rows.person, simulated)
    sheet = _Sheet(project, question, people, is_compared=is_compared, is_paced=may_pace)
    persons = sheet.measure(rows, ~is_simulated)
    report |= {"means": persons["means"], "weeks": persons["weeks"], "n_simulated": len(simulated)}
    found = persons["people"]
    if simulated:
        everybody = sheet.measure(rows, np.ones(len(rows.item), bool))
        found |= {pk: everybody["people"][pk] for pk in simulated}
        if len(simulated) == len(people):
            report |= {"means": everybody["means"], "weeks": everybody["weeks"]}
    report["people"] = dict(sorted(found.items(), key=lambda one: (one[1]["name"].casefold(), one[0])))
    return report


@dataclass(frozen=True)
class _Sheet:
    """One question's figures, as rows for people."""

    project: Project
    question: Question
    people: Mapping[int, User]
    is_compared: bool
    is_paced: bool

    def measure(self, rows: PeopleRows, chosen: BoolArray) -> Row:
        """The rows of those whose labels are chosen, measured beside one another."""
        labels = PeopleLabels.from_codes(
            rows.item[chosen], rows.person[chosen], rows.value[chosen], at=rows.at[chosen], seconds=rows.seconds[chosen]
        )
        if not self.is_compared:
            return {"means": dict.fromkeys(MEASURES), "weeks": [], "people": self._uncompared(labels)}
        references = References.of(
            labels,
            agreed_items=rows.agreed_items,
            decided=rows.decided,
            gold=rows.gold,
            own_decisions=rows.own_decisions,
        )
        accuracies = {measure: accuracy_of(labels, references.of_measure(measure)) for measure in MEASURES}
        weeks = weeks_of(labels, references.agreed)
        trend = trend_of(weeks)
        confusion: dict[int, list[tuple[int, int, int]]] = {}
        if self.question["kind"] != "choices":
            for person, said_right, said, n in zip(*confusion_of(labels, references.best), strict=True):
                confusion.setdefault(int(person), []).append((int(said_right), int(said), int(n)))
        pace, flags = find_flags(labels, n_first=self.project.overlap_min, with_pace=self.is_paced)
        shown = self._flags_by_person(labels, flags)
        monday = datetime.fromtimestamp(labels.first_week_at, UTC).date()
        dates = [(monday + timedelta(weeks=week)).isoformat() for week in range(weeks.n.shape[1])]
        names = self._name_values(labels)
        n_labels = labels.count(np.ones(labels.n_labels, bool)).astype(int)
        people: dict[int, Row] = {}
        for one, pk in enumerate(labels.person_ids.tolist()):
            people[pk] = self._describe(pk) | {
                "n_labels": int(n_labels[one]),
                "accuracy": {
                    measure: self._figure(measure, accuracies[measure], one).as_dict() for measure in MEASURES
                },
                "pace": _pace(pace, one),
                "weeks": _week_rows(dates, weeks.n[one], weeks.n_right[one]),
                "trend": _trend_row(float(trend.z[one]), float(trend.p_adjusted[one])),
                "confusion": [
                    {"reference": names[right], "said": names[said], "n": n}
                    for right, said, n in confusion.get(one, [])
                ],
                "flags": shown.get(one, []),
            }
        means = {
            measure: None if one.mean is None else {"mean": one.mean, "weight": one.weight}
            for measure, one in accuracies.items()
        }
        return {
            "means": means,
            "weeks": _week_rows(dates, weeks.n.sum(axis=0), weeks.n_right.sum(axis=0)),
            "people": people,
        }

    def _figure(self, measure: Measure, accuracy: Accuracy, one: int) -> Figure:
        """One person's accuracy, or why there is none."""
        metric, n, n_right = f"accuracy_{measure}", int(accuracy.n[one]), int(accuracy.n_right[one])
        about: dict[str, Any] = {"n_items": n, "n_labels": n, "n_annotators": 1}
        if n < LEAST_LABELS:
            told = {
                "gold": ngettext("%(n)d label on a known item", "%(n)d labels on known items", n),
                "decided": ngettext("%(n)d label on a decided item", "%(n)d labels on decided items", n),
                "agreed": ngettext("%(n)d label on an agreed item", "%(n)d labels on agreed items", n),
            }
            needed = _("%(what)s, %(least)d needed") % {"what": told[measure] % {"n": n}, "least": LEAST_LABELS}
            return Figure.refused(metric, needed, **about)
        against = {
            "gold": _("share of labels equal to the known answer"),
            "decided": _("share of labels equal to a reviewer's decision, their own decisions left out"),
            "agreed": _("share of labels equal to what most of the others on the item say, on agreed items"),
        }
        raw = _("%(k)d of %(n)d") % {"k": n_right, "n": n}
        how = (
            _("Wilson")
            if accuracy.mean is None
            else _(
                "drawn towards the people's mean, %(mean).2f, by the weight of %(weight).0f labels (empirical Bayes)"
            )
            % {"mean": accuracy.mean, "weight": accuracy.weight}
        )
        low, high = (float(end) for end in accuracy.interval[one])
        method = f"{against[measure]}; {raw}, {how}"
        if measure == "agreed" and self.project.overlap_min < self.project.overlap_max:
            method += "; " + _("a few points too high, as an item gets no further label once its first ones agree")
        return Figure(metric=metric, value=float(accuracy.value[one]), interval=(low, high), method=method, **about)

    def _describe(self, pk: int) -> Row:
        user = self.people[pk]
        source = "human" if user.kind == User.Kind.PERSON else user.kind
        return {"id": str(pk), "name": user.name, "source": source}

    def _uncompared(self, labels: PeopleLabels) -> dict[int, Row]:
        """Everybody's pace alone."""
        pace = pace_of(labels) if self.is_paced else None
        flags = self._flags_by_person(labels, list(pace.flags) if pace else [])
        told = NO_COMPARISON.format(kind=self.question["kind"])
        n_labels = labels.count(np.ones(labels.n_labels, bool)).astype(int)
        return {
            pk: self._describe(pk)
            | {
                "n_labels": int(n_labels[one]),
                "accuracy": {
                    measure: Figure.refused(
                        f"accuracy_{measure}", told, n_items=0, n_labels=0, n_annotators=1
                    ).as_dict()
                    for measure in MEASURES
                },
                "pace": _pace(pace, one),
                "weeks": [],
                "trend": None,
                "confusion": [],
                "flags": flags.get(one, []),
            }
            for one, pk in enumerate(labels.person_ids.tolist())
        }

    def _name_values(self, labels: PeopleLabels) -> list[str]:
        """What each value code is called, and last what a reference is called that nobody gave as a label."""
        known = name_choices(self.question) if self.question["kind"] == "choice" else {}
        return [*(known.get(value, str(value)) for value in labels.values.tolist()), _("another answer")]

    def _flags_by_person(self, labels: PeopleLabels, flags: list[Flag]) -> dict[int, list[Row]]:
        """The flags as rows, by person code: the evidence as item ids, values by name."""
        shown: dict[int, list[Row]] = {}
        names = self._name_values(labels)
        for flag in flags:
            figures: dict[str, Any] = dict(flag.figures)
            if "value" in figures:
                figures["value"] = names[int(figures["value"])] if self.question["kind"] != "choices" else None
            other = None if flag.other is None else int(labels.person_ids[flag.other])
            items = list(dict.fromkeys(labels.item_ids[labels.item[flag.evidence]].tolist()))
            row: Row = {"kind": flag.kind, "figures": figures, "items": items}
            row["other"] = None if other is None else self._describe(other)
            shown.setdefault(flag.person, []).append(row)
        return shown


def _pace(pace: Any, one: int) -> Row | None:
    """A person's pace; None where nothing was measured, or it is not told."""
    if pace is None or not pace.n[one]:
        return None
    return {
        "n": int(pace.n[one]),
        "median_seconds": float(pace.median[one]),
        "fast_share": float(pace.fast_share[one]) if pace.n[one] >= LEAST_LABELS else None,
    }


def _week_rows(dates: list[str], n: Any, n_right: Any) -> list[Row]:
    """The weeks with a label that has a reference; a figure where there are enough."""
    rows = []
    for date, total, right in zip(dates, n.tolist(), n_right.tolist(), strict=True):
        if total:
            is_told = total >= LEAST_OF_WEEK
            low, high = wilson(right, total)
            rows.append(
                {
                    "week": date,
                    "n": total,
                    "value": right / total if is_told else None,
                    "interval": [low, high] if is_told else None,
                }
            )
    return rows


def _trend_row(z: float, p_adjusted: float) -> Row | None:
    """Which way somebody goes beside the others; None where it cannot be told."""
    if np.isnan(z):
        return None
    is_more = p_adjusted < LEVEL
    return {"direction": ("up" if z > 0 else "down") if is_more else "none", "p_adjusted": p_adjusted}


def visible_items(project: Project, ids: list[int]) -> list[Row]:
    """Those of the items that can be shown, in their order: `{"id", "external_id"}`."""
    shown = (Item.Lifecycle.OPEN, Item.Lifecycle.ARCHIVED)
    names = dict(Item.objects.filter(project=project, pk__in=ids, lifecycle__in=shown).values_list("pk", "external_id"))
    return [{"id": str(pk), "external_id": names[pk]} for pk in ids if pk in names]
