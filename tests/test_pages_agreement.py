"""The agreement explorer: what it shows to whom, what leads where, and the lists that its cells open."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from annotation.actions.projects import set_member
from annotation.models import Event, Item, Project, User
from reviewers.agreement.report import project_agreement
from reviewers.consumers import read_votes
from reviewers.reports import pick_question
from tests.api_client import Api
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"
VERDICTS = ["none", "spam", "insult"]
Show = Callable[..., str]


def rows(n: int) -> list[dict[str, Any]]:
    """Items that A, B and C have answered in one way each; D only the first three."""
    found = []
    for i in range(n):
        said = {"A": VERDICTS[i % 3], "B": VERDICTS[i % 3], "C": VERDICTS[(i + (i % 4 == 0)) % 3]}
        said |= {"D": "none"} if i < 3 else {}
        found.append(
            {
                "external_id": f"e-{i}",
                "text": f"text {i}",
                "metadata": {"language": ["en", "de"][i % 2], "shop": f"s{i % 3}", "serial": str(i)},
                "annotations": [{"annotator": name, "answers": {"verdict": v}} for name, v in said.items()],
            }
        )
    return found


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A project of 24 items, its votes counted."""
    desk = make_desk(rows=rows(24), overlap={"min": 2, "max": 4})
    read_votes(list(Event.objects.filter(project=desk.project)))
    return desk


def page(user: User, query: str = "", where: str = "agreement") -> str:
    client = Client()
    client.force_login(user, backend=BACKEND)
    response = client.get(f"/p/forum/{where}/{query}")
    assert response.status_code == 200
    return unescape(response.content.decode())


def listed(html: str) -> set[str]:
    return set(re.findall(r"\be-\d+\b", html))


def links(html: str, among: str) -> list[str]:
    return [link for link in re.findall(r'href="([^"]+)"', html) if among in link]


def test_every_measure_stands_there_with_its_interval(desk: Desk) -> None:
    html = page(desk.cast.enzo)
    for name in ("Observed agreement", "Krippendorff's alpha", "Fleiss' kappa", "Gwet's AC1"):
        assert name in html
    assert "On 24 items with two labels or more: 75 labels by 4 annotators." in html
    assert "All answers are counted." in html


def test_each_cell_of_the_table_opens_exactly_its_items(desk: Desk) -> None:
    project = Project.objects.select_related("schema").get(pk=desk.project.pk)
    confusion = project_agreement(project, pick_question(project, None))["confusion"]
    html = page(desk.cast.rita)
    for y, a in enumerate(confusion["values"]):
        for x, b in enumerate(confusion["values"]):
            query = f"?question=verdict&said={a}&also={b}"
            n = confusion["items"][y][x]
            assert (query in html) == (n > 0)
            assert len(listed(page(desk.cast.rita, query, "items"))) == n


def test_a_label_opens_the_items_on_which_anybody_gave_it(desk: Desk) -> None:
    html = page(desk.cast.rita, "?question=verdict&said=spam", "items")
    wanted = {f"e-{i}" for i in range(24) if VERDICTS[i % 3] == "spam" or VERDICTS[(i + (i % 4 == 0)) % 3] == "spam"}
    assert listed(html) == wanted
    assert "somebody said “spam”" in html


def test_the_list_takes_words_and_states_beside_what_was_said(desk: Desk) -> None:
    html = page(desk.cast.rita, "?question=verdict&said=spam&q=e-1&order=-disagreement", "items")
    assert listed(html) == {"e-1", "e-10", "e-13", "e-16", "e-19", "e-12"}
    assert 'name="said" value="spam"' in html


@pytest.mark.parametrize("query", ["?question=nowhere&said=spam", "?question=verdict&said=nothing", "?people=1"])
def test_what_the_list_does_not_know_it_leaves_out_of_the_question(desk: Desk, query: str) -> None:
    html = page(desk.cast.rita, query, "items")
    assert len(listed(html)) == 24
    assert "Only items of which" not in html


def test_pairs_that_share_enough_are_measured_and_the_rest_named(desk: Desk) -> None:
    html = page(desk.cast.rita, "?by=pair")
    assert "A / B" in html
    assert "3 pairs are not measured" in html
    assert "A / D (3)" in html
    project = Project.objects.select_related("schema").get(pk=desk.project.pk)
    report = project_agreement(project, pick_question(project, None), "pair")
    both = {stratum["value"]: {m["metric"]: m for m in stratum["metrics"]} for stratum in report["strata"]}
    assert set(both) == {"A / B", "A / C", "B / C"}
    assert both["A / B"]["cohen_kappa"]["value"] == 1.0
    assert both["A / C"]["raw_agreement"]["value"] == pytest.approx(18 / 24)
    assert report["n_left_out"] == 3


def test_a_pair_opens_what_both_have_answered(desk: Desk) -> None:
    assert links(page(desk.cast.rita, "?by=pair"), "people=")
    d = User.objects.get(shown_name="D")
    a = User.objects.get(shown_name="A")
    html = page(desk.cast.rita, f"?question=verdict&people={a.pk},{d.pk}", "items")
    assert listed(html) == {"e-0", "e-1", "e-2"}
    assert "answered by A and D" in html


def test_who_said_what_is_for_reviewers(desk: Desk) -> None:
    html = page(desk.cast.enzo, "?by=pair")
    assert "A / B" not in html
    assert "pair of annotators" not in html
    a = User.objects.get(shown_name="A")
    assert len(listed(page(desk.cast.enzo, f"?question=verdict&people={a.pk}", "items"))) == 24
    assert Api(desk.cast.enzo).get("projects/forum/agreement?by=pair").status_code == 403
    assert Api(desk.cast.rita).get("projects/forum/agreement?by=pair").status_code == 200


def test_strata_by_any_key_of_the_metadata(desk: Desk) -> None:
    assert "By shop" in page(desk.cast.enzo, "?by=metadata:shop")
    answer = Api(desk.cast.enzo).get("projects/forum/agreement?by=metadata:shop").json()
    assert [(one["by"], one["value"]) for one in answer["strata"]] == [
        ("metadata:shop", "s0"),
        ("metadata:shop", "s1"),
        ("metadata:shop", "s2"),
    ]
    assert {one["metrics"][0]["refusal"] for one in answer["strata"]} == {"8 items have two labels; 10 needed"}
    by_language = Api(desk.cast.enzo).get("projects/forum/agreement?by=language").json()["strata"]
    assert [(one["value"], one["metrics"][0]["n_items"]) for one in by_language] == [("de", 12), ("en", 12)]
    assert all(one["metrics"][0]["value"] is not None for one in by_language)


def test_a_key_that_names_each_item_is_no_way_to_compare(desk: Desk) -> None:
    html = page(desk.cast.enzo)
    assert "by=metadata%3Ashop" in html
    assert "serial" not in html


def test_strata_by_label_set_each_against_the_rest(desk: Desk) -> None:
    answer = Api(desk.cast.enzo).get("projects/forum/agreement?by=label").json()
    assert [one["value"] for one in answer["strata"]] == VERDICTS
    assert answer["strata"][1]["metrics"][0]["prevalence"].keys() == {"spam"}


def test_strata_by_week_draw_a_line(desk: Desk) -> None:
    html = page(desk.cast.enzo, "?by=week")
    assert "Week by week" in html
    (week,) = Api(desk.cast.enzo).get("projects/forum/agreement?by=week").json()["strata"]
    assert re.fullmatch(r"20\d\d-W\d\d", week["value"])
    assert week["metrics"][0]["n_items"] == 24
    assert week["value"] in html
    whole = Api(desk.cast.enzo).get("projects/forum/agreement").json()
    assert week["metrics"] == whole["metrics"]  # all labels are of this week: the same intervals too


def test_strata_by_team_are_pairs_within_a_team(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=3)
    for name, team in (("alice", "north"), ("bob", "north"), ("carol", "south")):
        set_member(project=desk.project, user=desk.cast[name], role="annotator", team=team, actor=desk.cast.olga)
    desk.vote("t-1", alice="spam", bob="spam", carol="none")
    assert "by=team" in page(desk.cast.olga)
    strata = Api(desk.cast.enzo).get("projects/forum/agreement?by=team").json()["strata"]
    assert [(one["value"], one["metrics"][0]["n_items"]) for one in strata] == [("north", 1), ("south", 0)]


def test_without_two_labels_the_page_says_what_is_missing(make_desk: MakeDesk) -> None:
    desk = make_desk(2, overlap=1)
    html = page(desk.cast.olga)
    assert "No item has two labels." in html
    assert "Each item is answered once here" in html
    assert "/p/forum/settings/" in html


def test_a_kind_without_measures_says_so(make_desk: MakeDesk) -> None:
    schema = {"questions": [{"name": "why", "kind": "text"}]}
    desk = make_desk(1, schema)
    assert "Not measured for this kind of question" in page(desk.cast.olga)


def test_sets_of_choices_are_compared_as_sets_and_one_by_one(make_desk: MakeDesk) -> None:
    schema = {"questions": [{"name": "tags", "kind": "choices", "choices": [{"value": v} for v in "xyz"]}]}
    desk = make_desk(1, schema, overlap=3)
    for name, tags in (("alice", ["x", "y"]), ("bob", ["y"]), ("carol", [])):
        desk.label(name, {"tags": tags})
    report = Api(desk.cast.enzo).get("projects/forum/agreement?by=label").json()
    found = {metric["metric"]: metric for metric in report["metrics"]}
    assert list(found) == ["raw_agreement", "alpha_nominal", "alpha_jaccard", "alpha_masi", "fleiss_kappa", "gwet_ac1"]
    # Three pairs of sets that all differ: only {x, y} and {y} share anything, half by Jaccard, a third by MASI.
    assert found["alpha_nominal"]["value"] == pytest.approx(0.0)
    assert found["alpha_jaccard"]["value"] == pytest.approx(0.0)
    assert found["raw_agreement"]["prevalence"] == {"x": pytest.approx(1 / 3), "y": pytest.approx(2 / 3)}
    assert [one["value"] for one in report["strata"]] == ["x", "y"]
    assert report["confusion"] is None
    read_votes(list(Event.objects.filter(project=desk.project)))
    html = page(desk.cast.rita, "?question=tags&said=y&also=y", "items")
    assert len(Item.objects.filter(project=desk.project)) == 1
    assert "t-1" in html


def test_simulated_people_are_named_as_such(desk: Desk) -> None:
    User.objects.filter(shown_name="C").update(kind=User.Kind.SIMULATED)
    assert "1 of the annotators is simulated" in page(desk.cast.enzo)
