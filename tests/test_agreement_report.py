"""Agreement of a project: from stored labels to figures, and which labels count."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np
import pytest

from annotation import queue
from annotation.actions.people import ensure_outside_person
from annotation.actions.projects import put_guideline
from annotation.errors import InvalidError
from annotation.kinds import choice
from annotation.models import Project, User
from reviewers import loading
from reviewers.agreement.report import project_agreement
from reviewers.algorithms.agreement import krippendorff_alpha, raw_agreement
from reviewers.loading import STRATIFIERS, load_labels
from reviewers.reports import pick_question
from tests.api_client import Api
from tests.cast import Desk, MakeDesk, import_rows

pytestmark = pytest.mark.django_db

# Krippendorff (2011), section C and D: 4 observers, 12 units, 0 where there is no value. Nominal 0.743, ordinal 0.815.
OBSERVERS = {
    "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    "C": [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
}
RATING = {"questions": [{"name": "grade", "kind": "rating", "required": True, "min": 1, "max": 5}]}
GRADES = {
    "questions": [
        {
            "name": "grade",
            "kind": "choice",
            "required": True,
            "choices": [{"value": value} for value in ("five", "three", "one", "two", "four")],
        }
    ]
}
NAMES = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
TAGS = {"questions": [{"name": "tags", "kind": "choices", "choices": [{"value": v} for v in ("x", "y", "z")]}]}


def published_rows(spell: Mapping[int, Any]) -> list[dict[str, Any]]:
    return [
        {
            "external_id": f"u-{unit}",
            "text": "a unit",
            "metadata": {"language": ["en", "de"][unit % 2]},
            "annotations": [
                {"annotator": name, "answers": {"grade": spell[grades[unit]]}}
                for name, grades in OBSERVERS.items()
                if grades[unit]
            ],
        }
        for unit in range(12)
    ]


def figures(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {metric["metric"]: metric for metric in report["metrics"]}


def report_of(desk: Desk, question: str | None = None, **options: Any) -> dict[str, Any]:
    project = Project.objects.select_related("schema").get(pk=desk.project.pk)
    return project_agreement(project, pick_question(project, question), **options)


def test_published_example_comes_out_of_the_database(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=published_rows({n: n for n in NAMES}), schema=RATING, overlap=4)
    found = figures(report_of(desk))
    assert list(found) == [
        "raw_agreement",
        "alpha_nominal",
        "alpha_ordinal",
        "alpha_interval",
        "alpha_ratio",
        "fleiss_kappa",
        "gwet_ac1",
        "gwet_ac2_linear",
        "gwet_ac2_quadratic",
    ]
    assert found["alpha_nominal"]["value"] == pytest.approx(0.743, abs=5e-4)
    assert found["alpha_ordinal"]["value"] == pytest.approx(0.815, abs=5e-4)
    assert found["alpha_interval"]["value"] == pytest.approx(0.849, abs=5e-4)
    assert found["alpha_ratio"]["value"] == pytest.approx(0.797, abs=5e-4)
    assert (found["alpha_nominal"]["n_items"], found["alpha_nominal"]["n_labels"]) == (11, 40)
    assert found["alpha_nominal"]["n_annotators"] == 4
    low, high = found["alpha_ordinal"]["interval"]
    assert low < 0.815 < high


def test_choices_have_no_order_of_their_own(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=published_rows(NAMES), schema=GRADES, overlap=4)
    found = figures(report_of(desk))
    assert list(found) == ["raw_agreement", "alpha_nominal", "fleiss_kappa", "gwet_ac1"]
    assert found["alpha_nominal"]["value"] == pytest.approx(0.743, abs=5e-4)
    assert found["gwet_ac1"]["prevalence"] == {
        "five": 3 / 40,
        "three": 10 / 40,
        "one": 9 / 40,
        "two": 13 / 40,
        "four": 5 / 40,
    }


def test_same_labels_give_the_same_intervals(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=published_rows(NAMES), schema=GRADES, overlap=4)
    assert report_of(desk)["metrics"] == report_of(desk)["metrics"]


def test_without_an_item_that_two_people_labelled_all_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(2)
    desk.label("alice", "spam")
    found = figures(report_of(desk))
    assert {metric["refusal"] for metric in found.values()} == {"no item has two labels"}
    assert {metric["value"] for metric in found.values()} == {None}


def test_project_without_labels_is_refused_too(make_desk: MakeDesk) -> None:
    report = report_of(make_desk(1), by="language")
    assert {metric["refusal"] for metric in report["metrics"]} == {"no item has two labels"}
    assert report["strata"] == []


def test_where_all_say_the_same_alpha_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    desk.vote("t-1", alice="spam", bob="spam")
    found = figures(report_of(desk))
    assert (found["raw_agreement"]["value"], found["alpha_nominal"]["refusal"]) == (1.0, "only 1 class occurs")


def test_answers_taken_back_do_not_count(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    desk.label("alice", "spam")
    second = desk.label("bob", "none")
    assert figures(report_of(desk))["raw_agreement"]["value"] == 0.0
    raw = queue.undo(annotation_id=second.annotation_id, person_id=desk.cast.bob.pk)
    assert figures(report_of(desk))["raw_agreement"]["refusal"] == "no item has two labels"
    desk.submit("bob", raw, "spam", key="again")
    assert figures(report_of(desk))["raw_agreement"]["value"] == 1.0


def test_sets_of_choices_agree_where_they_are_the_same_set(make_desk: MakeDesk) -> None:
    desk = make_desk(1, TAGS, overlap=3)
    desk.label("alice", {"tags": ["x", "y"]})
    desk.label("bob", {"tags": ["y", "x"]})
    desk.label("carol", {"tags": []})
    found = figures(report_of(desk))
    assert found["raw_agreement"]["value"] == pytest.approx(1 / 3)
    assert found["raw_agreement"]["n_labels"] == 3


def answer_as(desk: Desk, person: User, verdict: str) -> None:
    """Answer the next item as somebody who is no member: simulated people go straight to the queue."""
    question, rng = pick_question(desk.project, None), Random(1)
    raw = queue.lease(project_id=desk.project.pk, person_id=person.pk, n=1, rng=rng).leases[0]
    queue.submit(
        seat_id=raw["seat"],
        generation=raw["generation"],
        person_id=person.pk,
        key="robot",
        body_digest=bytes(32),
        source="simulated",
        answer=queue.Answer(labels=[{"q": question["id"], "choice": choice.domain(question)[verdict]}]),
        salt=b"",
        rng=rng,
    )


def test_simulated_labels_can_be_left_out_and_are_always_counted(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=3)
    robot = ensure_outside_person(project=desk.project, name="careless", kind=User.Kind.SIMULATED)
    desk.label("alice", "spam")
    desk.label("bob", "spam")
    answer_as(desk, robot, "none")
    everybody = report_of(desk)
    ((_name, people),) = load_labels(desk.project, pick_question(desk.project, None), include_simulated=False)
    assert figures(everybody)["raw_agreement"]["value"] == pytest.approx(1 / 3)
    assert raw_agreement(people) == 1.0
    assert everybody["n_simulated_annotators"] == 1


def test_strata_by_language_are_those_of_the_items(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=published_rows(NAMES), schema=GRADES, overlap=4)
    strata = report_of(desk, by="language")["strata"]
    assert [(stratum["by"], stratum["value"]) for stratum in strata] == [("language", "de"), ("language", "en")]
    sizes = [figures(stratum)["alpha_nominal"]["n_items"] for stratum in strata]
    assert sizes == [5, 6]  # u-11, in German, has a single label


def test_strata_by_split_cover_all_items(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=published_rows(NAMES), schema=GRADES, overlap=4)
    strata = report_of(desk, by="split")["strata"]
    assert {stratum["value"] for stratum in strata} <= {"holdout", "pool"}
    assert sum(figures(stratum)["raw_agreement"]["n_items"] for stratum in strata) == 11


def test_strata_by_source_and_guideline_are_those_of_the_labels(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=published_rows(NAMES), schema=GRADES, overlap=4)
    clauses = [{"id": "c-1", "title": "One", "text": "..."}]
    put_guideline(project=desk.project, change="major", clauses=clauses, actor=desk.cast.olga)
    import_rows(desk.project, [{"external_id": "new", "text": "new"}])
    desk.vote("new", alice={"grade": "one"}, bob={"grade": "one"})  # type: ignore[arg-type]
    by_source = report_of(desk, by="source")["strata"]
    assert {s["value"]: figures(s)["raw_agreement"]["n_items"] for s in by_source} == {"human": 1, "imported": 11}
    by_version = report_of(desk, by="guideline")["strata"]
    assert {s["value"]: figures(s)["raw_agreement"]["n_items"] for s in by_version} == {"0": 11, "1": 1}


def test_tables_hold_one_entry_a_label(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=published_rows({n: n for n in NAMES}), schema=RATING, overlap=4)
    ((name, table),) = load_labels(desk.project, pick_question(desk.project, None))
    assert (name, len(table.value), table.n_values) == (None, 41, 5)
    assert np.bincount(table.value).tolist() == [9, 13, 11, 5, 3]  # how often 1 to 5 stand in the published table
    assert krippendorff_alpha(table, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert raw_agreement(table) == pytest.approx(0.818, abs=5e-4)


def test_a_large_project_is_read_in_parts_that_make_the_whole(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(rows=published_rows(NAMES), schema=GRADES, overlap=4)
    desk.relabel("u-1", overlap=4)

    def read() -> list[tuple[str | None, str | None, list[tuple[int, int, int]]]]:
        return [
            (by, name, sorted(zip(table.item.tolist(), table.annotator.tolist(), table.value.tolist(), strict=True)))
            for by in (None, *STRATIFIERS, "metadata:lang")
            for name, table in load_labels(desk.project, pick_question(desk.project, None), by=by)
        ]

    whole = read()
    assert (whole[0][0], len(whole[0][2])) == (None, 41 - 4)  # u-1 is asked anew
    monkeypatch.setattr(loading, "_ITEMS_AT_ONCE", 2)
    assert read() == whole


def test_unknown_stratum_is_refused(make_desk: MakeDesk) -> None:
    with pytest.raises(InvalidError) as error:
        report_of(make_desk(1), by="weather")
    assert list(error.value.fields) == ["by"]


def test_api_has_the_promised_shape(make_desk: MakeDesk) -> None:
    desk = make_desk(2, overlap=2)
    desk.vote("t-1", alice="spam", bob="none")
    desk.vote("t-2", alice="spam", bob="spam")
    answer = Api(desk.cast.enzo).get("projects/forum/agreement?question=verdict&by=source").json()
    assert answer["question"] == "verdict"
    assert answer["computed_at"].endswith("Z")
    assert [stratum["value"] for stratum in answer["strata"]] == ["human"]
    assert {frozenset(metric) for metric in answer["metrics"]} == {
        frozenset(
            (
                "metric",
                "value",
                "interval",
                "level",
                "method",
                "n_items",
                "n_labels",
                "n_annotators",
                "refusal",
                "prevalence",
            )
        )
    }


@pytest.mark.parametrize("query", ["question=colour", "by=weather", "colour=red"])
def test_api_refuses_what_it_does_not_know(make_desk: MakeDesk, query: str) -> None:
    make_desk(1)
    desk_owner = User.objects.get(username="olga")
    assert Api(desk_owner).get(f"projects/forum/agreement?{query}").status_code == 400
