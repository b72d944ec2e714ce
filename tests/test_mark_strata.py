"""Spans and rankings taken apart: by what items are, by who gave them, and each label of marks by itself."""

from __future__ import annotations

from html import unescape
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client

from annotation.actions.people import ensure_outside_person
from annotation.models import Annotation, Job, Member
from reviewers import job_kinds
from reviewers.agreement import kept, marks
from reviewers.algorithms.mark_agreement import Stretch
from reviewers.algorithms.unitized import Continuum, unitized_alpha
from tests.api_client import Api
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db
assert job_kinds  # registers the kinds
SCHEMA: dict[str, Any] = {
    "questions": [
        {"name": "marks", "kind": "spans", "labels": [{"value": v} for v in ("slur", "name", "rare", "never")]},
        {"name": "order", "kind": "ranking", "choices": [{"value": v} for v in ("a", "b", "c")]},
    ]
}
LENGTH = 40


def span(start: int, end: int, label: str = "slur") -> dict[str, Any]:
    return {"part": "text", "start": start, "end": end, "label": label}


def answers(i: int) -> dict[str, dict[str, Any]]:
    """A and B mark the same in English, and half of it in German; C marks a name where A does; the rare one twice."""
    half = span(0, 10) if i % 2 == 0 else span(5, 15)
    names = [span(20, 30, "name")] if i % 3 == 0 else []
    rare = [span(30, 32, "rare")] if i < 2 else []
    best, turned = [["a"], ["b"], ["c"]], [["c"], ["b"], ["a"]]
    said = {"A": [span(0, 10), *names, *rare], "B": [half, *rare], "C": [span(0, 10), *names]}
    orders = {"A": best, "B": best if i % 2 == 0 else turned, "C": best}
    people = "ABC" if i < 18 else "AB"
    return {who: {"marks": said[who], "order": orders[who]} for who in people}


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """24 texts in two languages; A and C are of one team."""
    rows = [
        {
            "external_id": f"m-{i}",
            "text": "a" * LENGTH,
            "metadata": {"language": ["en", "de"][i % 2], "lone": "yes" if i < 3 else "no"},
            "annotations": [{"annotator": who, "answers": said} for who, said in answers(i).items()],
        }
        for i in range(24)
    ]
    desk = make_desk(rows=rows, schema=SCHEMA, overlap={"min": 2, "max": 3})
    for who, team in (("A", "north"), ("B", "south"), ("C", "north")):
        person = ensure_outside_person(project=desk.project, name=who, kind="imported")
        Member.objects.update_or_create(project=desk.project, user=person, defaults={"role": "annotator", "team": team})
    return desk


def strata(desk: Desk, by: str, question: str = "marks") -> dict[str, dict[str, Any]]:
    body = Api(desk.cast.rita).get(f"projects/forum/agreement?question={question}&by={by}").json()
    return {one["value"]: {m["metric"]: m for m in one["metrics"]} for one in body["strata"]}


def alpha(chosen: list[int], people: str = "ABC", only: str = "") -> float:
    """Unitized alpha of some items and people, from what they said."""
    continua = []
    for i in chosen:
        said = [answer["marks"] for who, answer in answers(i).items() if who in people]
        given = [
            [Stretch("t", m["label"], m["start"], m["end"]) for m in one if only in ("", m["label"])] for one in said
        ]
        continua += [Continuum({"t": LENGTH}, given)]
    return unitized_alpha(continua)[0]


def test_items_are_told_apart_by_what_they_are(desk: Desk) -> None:
    found = strata(desk, "language")
    assert list(found) == ["de", "en"]
    english, german = found["en"], found["de"]
    # English: 9 items of three people, of which 3 with names of A and C, and one of these with something rare of A and
    # B; 3 of two, 1 of them with a name of A alone.
    pairs = [1.0, 1.0, 1.0] * 6 + [2 / 3, 1.0, 2 / 3] * 2 + [24 / 34, 40 / 42, 20 / 32] + [1.0] * 2 + [2 / 3]
    assert english["character_f1"]["value"] == pytest.approx(np.mean(pairs))
    assert (english["character_f1"]["n_items"], english["character_f1"]["n_annotators"]) == (12, 3)
    assert german["character_f1"]["value"] < english["character_f1"]["value"]
    for name, parity in (("en", 0), ("de", 1)):
        assert found[name]["alpha_u"]["value"] == pytest.approx(alpha(list(range(parity, 24, 2))))
    assert english["alpha_u"]["interval"][0] <= english["alpha_u"]["value"] <= english["alpha_u"]["interval"][1]


def test_rankings_are_told_apart_too(desk: Desk) -> None:
    found = strata(desk, "language", "order")
    assert found["en"]["kendall_tau_b"]["value"] == 1.0
    assert found["de"]["kendall_tau_b"]["value"] == pytest.approx((9 * (1 - 1 - 1) + 3 * -1) / (9 * 3 + 3))
    assert strata(desk, "label", "order") == {}


def test_few_items_are_listed_and_refused(desk: Desk) -> None:
    found = strata(desk, "metadata:lone")
    assert {m["refusal"] for m in found["yes"].values()} == {"3 items have two labels; 10 needed"}
    assert set(found["yes"]) == set(marks.MARK_METRICS["spans"])
    assert found["no"]["character_f1"]["n_items"] == 21


def test_teams_are_compared_with_their_own(desk: Desk) -> None:
    found = strata(desk, "team")
    north, south = found["north"], found["south"]
    assert north["raw_agreement"]["value"] == pytest.approx(16 / 18)  # A marks something rare twice
    assert (north["raw_agreement"]["n_items"], north["raw_agreement"]["n_labels"]) == (18, 36)
    assert north["alpha_u"]["value"] == pytest.approx(alpha(list(range(18)), "AC"))
    assert {m["refusal"] for m in south.values()} == {"no item has two labels"}


def test_weeks_are_those_of_the_last_answer_to_an_item(desk: Desk) -> None:
    late = Annotation.objects.filter(item__external_id__in=[f"m-{i}" for i in range(12)], person__shown_name="A")
    with connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(
            "update annotation_annotation set created_at = created_at + interval '21 days' where id = any(%s)",
            [list(late.values_list("pk", flat=True))],
        )
    found = strata(desk, "week")
    assert [m["character_f1"]["n_items"] for m in found.values()] == [12, 12]


def test_pairs_are_those_who_share_items(desk: Desk) -> None:
    found = strata(desk, "pair")
    assert next(iter(found)) == "A / B"  # they share most
    assert set(found) == {"A / B", "A / C", "B / C"}
    assert found["A / C"]["raw_agreement"]["value"] == pytest.approx(16 / 18)
    assert found["A / B"]["alpha_u"]["value"] == pytest.approx(alpha(list(range(24)), "AB"))
    body = Api(desk.cast.rita).get("projects/forum/agreement?question=marks&by=pair").json()
    assert [person["name"] for person in body["strata"][0]["persons"]] == ["A", "B"]
    assert (body["left_out"], body["n_left_out"]) == ([], 0)
    assert Api(desk.cast.enzo).get("projects/forum/agreement?question=marks&by=pair").status_code == 403


def test_each_label_by_itself_on_the_items_that_have_it(desk: Desk) -> None:
    body = Api(desk.cast.rita).get("projects/forum/agreement?question=marks&by=label").json()
    assert [one["value"] for one in body["strata"]] == ["slur", "name", "rare"]  # nobody gave the fourth
    assert [one["n_items_given"] for one in body["strata"]] == [24, 8, 2]
    found = strata(desk, "label")
    assert {m["refusal"] for m in found["name"].values()} == {"given on 8 items; 10 needed"}
    slur = found["slur"]
    n_english, n_german = 9 * 3 + 3, 9 * 3 + 3
    german = 9 * (0.5 + 1.0 + 0.5) + 3 * 0.5
    assert slur["character_f1"]["value"] == pytest.approx((n_english + german) / (n_english + n_german))
    assert slur["alpha_u"]["value"] == pytest.approx(alpha(list(range(24)), only="slur"))


def test_a_label_that_is_there_on_few_pairs_is_not_drowned_in_agreement_on_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reviewers.agreement.strata.LEAST_ITEMS", 2)
    name = strata(desk, "label")["name"]
    # Names of A and C on 6 items of three people, and of A alone on 2 of two.
    assert name["character_f1"]["value"] == pytest.approx((6 * (1 + 0 + 0) + 2 * 0) / (6 * 3 + 2))
    assert name["character_f1"]["n_items"] == 8
    assert name["alpha_u"]["value"] == pytest.approx(alpha(list(range(24)), only="name"))


def test_of_many_items_the_strata_are_of_those_that_the_whole_is_of(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "MOST_ITEMS", 22)  # so that each language has 10
    found = strata(desk, "language")
    assert sum(one["character_f1"]["n_items"] for one in found.values()) == 22
    assert all("22 of 24 items, drawn by chance" in one["character_f1"]["method"] for one in found.values())


def test_many_marks_are_compared_by_a_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "QUICK_MARKS", 10)
    answer = Api(desk.cast.rita).get("projects/forum/agreement?question=marks&by=label")
    assert answer.status_code == 202
    assert Job.objects.get(pk=answer.json()["job"]).args == {"question": 1, "by": "label"}


def test_the_page_offers_every_way_and_shows_its_own_measures(desk: Desk) -> None:
    client = Client()
    client.force_login(desk.cast.rita, backend="django.contrib.auth.backends.ModelBackend")

    def page(query: str) -> str:
        return unescape(client.get(f"/p/forum/agreement/?question={query}").content.decode())

    html = page("marks&by=label")
    assert "The marks of each label by themselves" in html
    assert "Given on 2 items; 10 needed" in html
    assert "Alpha, unitized" in html
    html = page("marks&by=pair")
    assert "Two annotators: F1, characters" in html
    assert "people=" not in html
    html = page("order&by=team")
    assert "Kendall's tau-b" in html
    assert "by=label" not in html
