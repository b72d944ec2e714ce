"""Reliability of people: from stored labels to figures, pages and the API, and who is shown what about whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from annotation import queue
from annotation.actions import projects
from annotation.actions.items import quarantine_item
from annotation.actions.people import ensure_outside_person
from annotation.models import Item, Project, User
from reviewers.actions.adjudication import adjudicate
from reviewers.algorithms.person_flags import KINDS
from reviewers.people.loading import load_people
from reviewers.people.report import people_report
from reviewers.people.words import flag_titles, tell_flag
from reviewers.reports import pick_question
from tests.api_client import Api
from tests.cast import Desk, MakeDesk, import_rows

pytestmark = pytest.mark.django_db

N = 120
VALUES = ("none", "spam", "insult")
NUMBER = {"questions": [{"name": "height", "kind": "number", "required": True}]}
SETS = {"questions": [{"name": "tags", "kind": "choices", "choices": [{"value": v} for v in VALUES]}]}


HONEST = ("ann", "ben", "cat", "dan", "fay", "gus")


def truth(item: int) -> str:
    return VALUES[item % 3]


def made_rows(**odd: str) -> list[dict[str, Any]]:
    """Items that ann, ben, cat and dan call by their right name, but for a few; `odd` says what others do.

    "random": one that has nothing to do with the item; "copy": what ann says; "right": the right one; a value: it.
    """
    rows = []
    for item in range(N):
        said = {name: truth(item) for name in ("ann", "ben", "cat", "dan")}
        for place, name in enumerate(said):
            if item % 8 == place:  # each of the four is wrong on fifteen items, one at a time
                said[name] = truth(item + 1)
        for name, what in odd.items():
            other = {"random": VALUES[(item // 3) % 3], "copy": said["ann"], "right": truth(item)}
            said[name] = other.get(what, what)
        annotations = [{"annotator": name, "answers": {"verdict": value}} for name, value in said.items()]
        rows.append({"external_id": f"r-{item}", "text": f"row {item}", "annotations": annotations})
    return rows


def report_of(desk: Desk) -> dict[str, Any]:
    project = Project.objects.select_related("schema").get(pk=desk.project.pk)
    return people_report(project, pick_question(project, None))


def by_name(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in report["people"].values()}


def as_person(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(desk: Desk, name: str, path: str = "annotators/") -> str:
    response = as_person(desk.cast[name]).get(f"/p/forum/{path}")
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def flagged(desk: Desk) -> dict[str, list[str]]:
    return {
        name: [flag["kind"] for flag in row["flags"]] for name, row in by_name(report_of(desk)).items() if row["flags"]
    }


@pytest.fixture
def crowd(make_desk: MakeDesk) -> Desk:
    """Six who work, eve who answers anything, and una who says `none` to everything."""
    return make_desk(rows=made_rows(eve="random", fay="right", gus="right", una="none"), overlap=8)


def test_the_report_counts_by_hand(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=made_rows(), overlap=4)
    report = report_of(desk)
    ann = by_name(report)["ann"]
    assert list(by_name(report)) == ["ann", "ben", "cat", "dan"]
    assert (report["n_items"], report["n_labels"], report["is_sample"]) == (N, 4 * N, False)
    agreed = ann["accuracy"]["agreed"]
    # Where another of the four is wrong two of her three others still say what is right.
    assert (agreed["n_items"], agreed["value"]) == (N, pytest.approx(105 / 120))
    assert agreed["interval"][0] < 105 / 120 < agreed["interval"][1]
    assert agreed["method"].endswith("105 of 120, Wilson")
    assert ann["accuracy"]["decided"]["refusal"] == "0 labels on decided items, 20 needed"
    assert sum(cell["n"] for cell in ann["confusion"] if cell["reference"] == cell["said"]) == 105
    assert {(cell["reference"], cell["said"]) for cell in ann["confusion"]} - {(v, v) for v in VALUES} == {
        ("none", "spam"),
        ("spam", "insult"),
        ("insult", "none"),
    }
    (week,) = ann["weeks"]
    assert (week["n"], week["value"]) == (N, pytest.approx(105 / 120))
    assert ann["trend"] is None
    assert ann["flags"] == []


def test_a_figure_says_that_it_errs_where_labels_stop_once_they_agree(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=made_rows()[:30], overlap={"min": 2, "max": 4})
    assert "a few points too high" in by_name(report_of(desk))["ann"]["accuracy"]["agreed"]["method"]


def test_five_people_are_drawn_towards_their_mean(crowd: Desk) -> None:
    report = report_of(crowd)
    ann, eve = by_name(report)["ann"]["accuracy"]["agreed"], by_name(report)["eve"]["accuracy"]["agreed"]
    assert eve["value"] < report["means"]["agreed"]["mean"] < ann["value"]
    assert "drawn towards the people's mean" in ann["method"]
    assert re.search(r"; \d+ of \d+, drawn", eve["method"])


def test_who_answers_anything_or_always_the_same_is_pointed_at(crowd: Desk) -> None:
    assert flagged(crowd) == {"eve": ["agrees_with_nobody"], "una": ["constant", "agrees_with_nobody"]}


def test_two_who_copy_are_pointed_at_together(make_desk: MakeDesk) -> None:
    rows = made_rows(zoe="copy")
    desk = make_desk(rows=[*rows, *({**row, "external_id": f"more-{n}"} for n, row in enumerate(rows))], overlap=5)
    assert flagged(desk) == {"ann": ["agree_too_well"], "zoe": ["agree_too_well"]}
    (flag,) = by_name(report_of(desk))["zoe"]["flags"]
    assert flag["other"]["name"] == "ann"
    assert "gave the same answer on 100 %" in tell_flag(flag)["text"]


def test_known_answers_and_decisions_have_figures_of_their_own(make_desk: MakeDesk) -> None:
    rows = made_rows()
    for item, row in enumerate(rows[:30]):
        row["gold"] = {"verdict": truth(item)}
    desk = make_desk(rows=rows, overlap=4)
    for item in range(30, 34):
        access, one = desk.access("rita"), desk.item(f"r-{item}")
        adjudicate(access=access, item=one, answers={"verdict": "insult"}, reason="ambiguous", expected_version=None)
    accuracy = by_name(report_of(desk))["ann"]["accuracy"]
    assert (accuracy["gold"]["n_items"], accuracy["gold"]["value"]) == (30, pytest.approx(26 / 30))
    assert (accuracy["decided"]["n_items"], accuracy["agreed"]["n_items"]) == (4, N - 4)


def test_a_decision_is_not_held_against_who_made_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", olga="spam")
    adjudicate(access=desk.access("olga"), item=desk.item("t-1"), answers={"verdict": "spam"}, reason="other")
    accuracy = {name: row["accuracy"]["decided"]["n_items"] for name, row in by_name(report_of(desk)).items()}
    assert accuracy == {"alice": 1, "olga": 0}


def test_only_labels_that_stand_count(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=2)
    desk.vote("t-1", alice="none", bob="none")
    done = desk.label("alice", "spam")
    queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)
    assert {name: row["n_labels"] for name, row in by_name(report_of(desk)).items()} == {"alice": 1, "bob": 1}


def test_of_an_item_that_is_labelled_again_the_newest_pass_counts(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=2)
    desk.vote("t-1", alice="none", bob="none")
    desk.vote("t-2", alice="none", bob="none")
    desk.relabel("t-1", overlap=2)
    people = by_name(report_of(desk))
    assert {name: row["n_labels"] for name, row in people.items()} == {"alice": 1, "bob": 1}
    assert people["alice"]["accuracy"]["agreed"]["n_items"] == 1


def test_simulated_people_are_in_nobodys_figures(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=3)
    robot = ensure_outside_person(project=desk.project, name="Robot", kind=User.Kind.SIMULATED)
    projects.set_member(project=desk.project, user=robot, role="annotator", actor=None)
    vars(desk.cast)["robot"] = robot
    desk.vote("t-1", alice="none", robot="none", bob="none")
    people = by_name(report_of(desk))
    n = {name: row["accuracy"]["agreed"]["n_items"] for name, row in people.items()}
    assert n == {"alice": 1, "bob": 1, "Robot": 1}
    desk.vote("t-2", alice="none", robot="none", olga="spam")
    n = {name: row["accuracy"]["agreed"]["n_items"] for name, row in by_name(report_of(desk)).items()}
    assert n["Robot"] == 1  # alice and olga differ: without Robot nobody leads
    assert n["alice"] == 2  # beside olga, not beside Robot
    assert people["Robot"]["source"] == "simulated"


def test_a_large_project_is_looked_at_in_part(crowd: Desk) -> None:
    project = Project.objects.select_related("schema").get(pk=crowd.project.pk)
    question = pick_question(project, None)
    rows = load_people(project, question, most=100)
    assert rows.is_sample
    assert 92 < len(rows.item) <= 100
    whole = load_people(project, question)
    assert (whole.is_sample, len(whole.item)) == (False, 8 * N)
    assert set(rows.item) == set(sorted(set(whole.item))[: len(set(rows.item))])
    labels, of_all = (set(zip(r.item, r.person, r.value, r.at, strict=True)) for r in (rows, whole))
    assert labels < of_all
    assert set(rows.agreed_items) == set(whole.agreed_items) & set(rows.item)


def test_pace_is_not_told_where_items_are_hard_to_look_at(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3, overlap=1)
    desk.submit("alice", desk.lease_one("alice"), seconds=4.0)
    assert by_name(report_of(desk))["alice"]["pace"]["median_seconds"] == 4.0
    assert "4.0 s" in page(desk, "rita")
    import_rows(desk.project, [{"external_id": "s", "text": "blood", "metadata": {"severity": "severe"}}])
    assert by_name(report_of(desk))["alice"]["pace"] is None
    html = page(desk, "rita")
    assert "4.0 s" not in html
    assert "nobody is to hurry" in html
    assert "4.0 s" not in page(desk, "alice", "annotators/me/")


def test_kinds_that_are_not_compared_have_pace_alone(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=2, schema=NUMBER)
    desk.submit("alice", desk.lease_one("alice"), {"height": 3}, seconds=2.0)
    report = report_of(desk)
    assert report["refusal"] == "answers of the kind number are not compared between people"
    alice = by_name(report)["alice"]
    assert alice["pace"]["n"] == 1
    assert {figure["refusal"] for figure in alice["accuracy"].values()} == {report["refusal"]}
    assert "not compared between people" in page(desk, "rita")
    assert "not compared between people" in page(desk, "alice", "annotators/me/")


def test_sets_of_choices_are_compared_as_wholes(make_desk: MakeDesk) -> None:
    rows = [
        {
            "external_id": f"r-{n}",
            "text": "a row",
            "gold": {"tags": ["none", "spam"]},
            "annotations": [
                {"annotator": "ann", "answers": {"tags": ["spam", "none"]}},
                {"annotator": "ben", "answers": {"tags": ["none"] if n % 2 else ["none", "spam"]}},
            ],
        }
        for n in range(24)
    ]
    people = by_name(report_of(make_desk(rows=rows, schema=SETS, overlap=2)))
    assert [people[name]["accuracy"]["gold"]["value"] for name in ("ann", "ben")] == [1.0, 0.5]
    assert people["ann"]["confusion"] == []


# --- Who is shown what about whom ------------------------------------------------------------------------------------


def test_reviewers_see_everybody_by_name_with_a_way_to_the_items(crowd: Desk) -> None:
    html = page(crowd, "rita")
    assert re.findall(r'<th scope="row"><a href="[^"]+">(\w+)</a>', html) == sorted([*HONEST, "eve", "una"])
    assert html.count('<svg class="interval"') == 8
    only = page(crowd, "rita", "annotators/?only=flagged")
    assert re.findall(r'<th scope="row"><a href="[^"]+">(\w+)</a>', only) == ["eve", "una"]
    eve = next(row for row in report_of(crowd)["people"].values() if row["name"] == "eve")
    own = page(crowd, "olga", f"annotators/{eve['id']}/")
    assert "A reason to look at the items, not a verdict" in own
    links = re.findall(r'href="(/p/forum/disputes/\d+/)">r-\d+</a>', own)
    assert len(links) == 8
    assert as_person(crowd.cast.rita).get(links[0]).status_code == 200


def test_sealed_items_are_no_evidence(crowd: Desk) -> None:
    eve = next(row for row in report_of(crowd)["people"].values() if row["name"] == "eve")
    first = Item.objects.get(pk=eve["flags"][0]["items"][0])
    assert f">{first.external_id}</a>" in page(crowd, "rita", f"annotators/{eve['id']}/")
    quarantine_item(item=first, actor=crowd.cast.rita)
    assert f">{first.external_id}</a>" not in page(crowd, "rita", f"annotators/{eve['id']}/")
    (told,) = (
        row for row in Api(crowd.cast.rita).get("projects/forum/annotators").json()["results"] if row["name"] == "eve"
    )
    assert len(told["flags"][0]["items"]) == 7


def test_an_annotator_sees_themselves_alone_and_no_flags(make_desk: MakeDesk) -> None:
    """Alice says `none` to everything: reviewers are pointed at it, she is shown her figures."""
    desk = make_desk(rows=made_rows()[:48], overlap=5)
    for item in range(48):
        desk.vote(f"r-{item}", alice="none")
    alice, bob = desk.cast.alice, desk.cast.bob
    assert flagged(desk) == {"alice": ["constant"]}
    html = page(desk, "alice", "annotators/me/")
    assert "How your labels compare" in html
    assert "What is taken for what" in html
    for told in [*map(str, flag_titles().values()), "Worth a look", "disputes/", "ben"]:
        assert told not in html, told
    assert "annotators/me/" in page(desk, "alice", "")
    api = Api(alice)
    own = api.get("projects/forum/annotators/me").json()
    assert (own["name"], own["id"], "flags" in own) == ("alice", str(alice.pk), False)
    assert api.get(f"projects/forum/annotators/{alice.pk}").json()["accuracy"] == own["accuracy"]
    assert api.get(f"projects/forum/annotators/{bob.pk}").status_code == 403
    assert as_person(alice).get(f"/p/forum/annotators/{bob.pk}/").status_code == 403
    assert as_person(alice).get("/p/forum/annotators/").status_code == 403


def test_somebody_who_has_no_part_in_the_project_is_absent(crowd: Desk) -> None:
    mallory = crowd.cast.mallory.pk
    for path in (f"/p/forum/annotators/{mallory}/", "/p/forum/annotators/nobody/", "/p/forum/annotators/999999/"):
        assert as_person(crowd.cast.rita).get(path).status_code == 404
    assert Api(crowd.cast.rita).get(f"projects/forum/annotators/{crowd.cast.bob.pk}").status_code == 404


def test_before_anybody_has_labelled_the_pages_say_what_will_be_there(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    assert "Nobody has labelled yet" in page(desk, "rita")
    assert "No label yet" in page(desk, "alice", "annotators/me/")
    assert "Start labelling" in page(desk, "alice", "annotators/me/")


def test_the_api_tells_everybody_in_pages(crowd: Desk) -> None:
    api = Api(crowd.cast.rita)
    first = api.get("projects/forum/annotators?question=verdict&limit=4").json()
    assert [row["name"] for row in first["results"]] == ["ann", "ben", "cat", "dan"]
    assert [metric["metric"] for metric in first["results"][0]["accuracy"]] == [
        "accuracy_gold",
        "accuracy_decided",
        "accuracy_agreed",
    ]
    rest = api.get(first["next"]).json()
    assert ([row["name"] for row in rest["results"]], rest["next"]) == (["eve", "fay", "gus", "una"], None)
    una = rest["results"][3]
    assert [flag["kind"] for flag in una["flags"]] == ["constant", "agrees_with_nobody"]
    assert una["flags"][0]["evidence"].startswith("120 labels in a row are “none”.")
    assert len(una["flags"][0]["items"]) == 8
    one = api.get(f"projects/forum/annotators/{una['id']}").json()
    assert {name: one[name] for name in una} == una
    assert sum(cell["n"] for cell in one["confusion"]) == una["accuracy"][2]["n_items"]
    assert api.get("projects/forum/annotators?question=nothing").status_code == 400


def test_every_flag_has_words() -> None:
    assert set(flag_titles()) == set(KINDS)
