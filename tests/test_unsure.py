"""What the current model is unsure about: which items, with what it says of them, and labels that contradict it."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.actions.items import quarantine_item
from annotation.models import Item
from learning import unsure
from learning.actions.models import ensure_external_model, make_current
from learning.item_walks import robust_plans
from learning.items import list_items
from learning.model_files import read_proba
from learning.models import ModelVersion, Score
from learning.questions import classes_of, learnable_questions
from learning.stored_proba import find_proba
from learning.unsure import find_contradictions, list_unsure
from learning.views import unsure as pages
from tests.api_client import Api, fault_of
from tests.cast import Desk, MakeDesk, import_rows
from tests.learning_rows import BETWEEN, PLAIN, SPAM, add, empty_desk, names_in, play, teach

PAGE = "/p/forum/learning/unsure/"
LIST, AGAINST = "projects/forum/unsure", "projects/forum/contradictions"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR, settings.FEATURE_DIR = tmp_path / "models", tmp_path / "features"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A model of two kinds of text; open: three of each kind, and one that lies between them."""
    desk = empty_desk(make_desk, learning={"every": None, "holdout_share": 0, "random_share": 0, "batch": 10})
    teach(desk)
    add(desk, 3, SPAM, "os")
    add(desk, 3, PLAIN, "op")
    add(desk, 1, BETWEEN, "between")
    play(desk)
    return desk


def listed(desk: Desk, **options: Any) -> tuple[list[dict[str, Any]], Any]:
    (question,) = learnable_questions(desk.project)
    return list_unsure(desk.project, question, current(desk), **options)


def current(desk: Desk) -> ModelVersion:
    return ModelVersion.objects.get(project=desk.project, is_current=True)


def against(desk: Desk) -> list[tuple[str, str, str]]:
    (question,) = learnable_questions(desk.project)
    found = find_contradictions(desk.project, question, current(desk))
    return [(one["item"]["external_id"].split("-")[0], one["label"], one["said"]) for one in found]


def open_page(desk: Desk, name: str = "enzo", path: str = PAGE) -> str:
    client = Client()
    client.force_login(getattr(desk.cast, name))
    answer = client.get(path)
    assert answer.status_code == 200
    return str(answer.content.decode())


def answer(desk: Desk, value: str, n: int = 1) -> list[str]:
    """Somebody answers the next items, one by one; their names, in order."""
    names = []
    for _number in range(n):
        lease = desk.lease_one("alice")
        desk.submit("alice", lease, verdict=value)
        names.append(lease["external_id"])
    return names


@pytest.mark.django_db
def test_the_item_between_two_choices_comes_first_with_both(desk: Desk) -> None:
    rows, position = listed(desk)
    assert (rows[0]["external_id"].split("-")[0], len(rows), position) == ("between", 7, None)
    first, second = rows[0]["likeliest"]
    assert {first["value"], second["value"]} == {"none", "spam"}
    score = Score.objects.get(item_id=rows[0]["id"])
    assert first["probability"] == pytest.approx(score.probability)
    assert first["probability"] >= second["probability"]
    margins = [row["likeliest"][0]["probability"] - row["likeliest"][1]["probability"] for row in rows]
    assert margins == sorted(margins)


@pytest.mark.django_db
def test_pages_follow_one_another_and_end_before_items_without_scores(desk: Desk) -> None:
    add(desk, 4, PLAIN, "later")
    names, position = [], None
    for _page in range(4):
        rows, position = listed(desk, after=position, limit=2)
        names += [row["external_id"] for row in rows]
    assert position is None
    assert len(set(names)) == len(names) == 7
    assert not any(name.startswith("later") for name in names)


@pytest.mark.django_db
def test_under_another_model_the_list_begins_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS", 3)
    further = html.unescape(re.findall(r'href="([^"]+after=[^"]+)"', open_page(desk))[0])
    assert "between-" not in open_page(desk, path=further)
    play(desk)
    assert "between-" in open_page(desk, path=further)


@pytest.mark.django_db
def test_an_item_whose_score_goes_meanwhile_is_left_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def list_and_lose(*args: Any, **options: Any) -> Any:
        found = list_items(*args, **options)
        Score.objects.filter(item__external_id__startswith="os-").delete()
        return found

    monkeypatch.setattr(unsure, "list_items", list_and_lose)
    assert {row["external_id"].split("-")[0] for row in listed(desk)[0]} == {"between", "op"}


@pytest.mark.django_db
def test_what_is_settled_or_put_away_is_not_listed(desk: Desk) -> None:
    (settled,) = answer(desk, "spam")
    sealed = Item.objects.filter(external_id__startswith="op-").first()
    assert sealed is not None
    quarantine_item(item=sealed, actor=desk.cast.rita)
    names = [row["external_id"] for row in listed(desk)[0]]
    assert len(names) == 5
    assert not {settled, sealed.external_id} & set(names)


@pytest.mark.django_db
def test_a_few_probabilities_are_those_of_all_and_absent_where_the_files_are(desk: Desk, settings: Any) -> None:
    model = current(desk)
    stored = read_proba(model)
    assert stored is not None
    items, proba = stored
    some = np.array([items[3], 12345, items[0]])
    found = find_proba(model, some)
    assert set(found) == {int(items[3]), int(items[0])}
    assert np.array_equal(found[int(items[3])], proba[3].astype(np.float32))
    shutil.rmtree(settings.MODEL_DIR)
    assert find_proba(model, some) == {}
    assert [len(row["likeliest"]) for row in listed(desk)[0]] == [1] * 7
    assert "not known here" in open_page(desk)


@pytest.mark.django_db
def test_probabilities_that_were_sent_in_are_told(desk: Desk) -> None:
    model = current(desk)
    item = Item.objects.get(external_id__startswith="between")
    Score.objects.filter(model_version=model, item=item).update(proba=[0.2, 0.35, 0.45])
    row = next(row for row in listed(desk)[0] if row["external_id"] == item.external_id)
    assert row["likeliest"] == [{"value": "insult", "probability": 0.45}, {"value": "spam", "probability": 0.35}]


@pytest.mark.django_db
def test_where_several_choices_may_hold_those_nearest_to_a_half_are_told(make_desk: MakeDesk) -> None:
    choices = [{"value": value} for value in ("hate", "threat", "spam")]
    desk = make_desk(n=1, schema={"questions": [{"name": "labels", "kind": "choices", "choices": choices}]})
    (question,) = learnable_questions(desk.project)
    classes = classes_of(question)
    model = ensure_external_model(project=desk.project, question=question["id"], name="m", version="1", classes=classes)
    make_current(model=model, check=lambda: None)
    name = next(names_in(desk, Item.Split.POOL, "open"))
    import_rows(desk.project, [{"external_id": name, "text": "Buy this, or else"}])
    item = Item.objects.get(project=desk.project, external_id=name)
    Score.objects.create(
        item=item, model_version=model, choice=classes[0], probability=0.9, utility=0.5, proba=[0.9, 0.4, 0.2]
    )
    (row,) = list_unsure(desk.project, question, model)[0]
    assert [one["value"] for one in row["likeliest"]] == ["threat", "spam"]
    assert "Most in doubt" in open_page(desk)


@pytest.mark.django_db
def test_labels_that_are_not_what_the_model_had_said_are_found_the_surest_first(desk: Desk) -> None:
    assert against(desk) == []  # what it was taught contradicts nothing
    answer(desk, "insult", 7)
    found = against(desk)
    assert [label for _name, label, _said in found] == ["insult"] * 7
    assert {(name, said) for name, _label, said in found if name != "between"} == {("os", "spam"), ("op", "none")}
    assert found[-1][0] == "between"
    page = open_page(desk)
    assert "Labelled otherwise than it had said" in page
    assert "Nothing is open that the model has scored" in page


@pytest.mark.django_db
def test_labels_as_the_model_had_said_and_those_of_before_it_contradict_nothing(desk: Desk) -> None:
    rows = {row["external_id"]: row["likeliest"][0]["value"] for row in listed(desk)[0]}
    lease = desk.lease_one("alice")
    desk.submit("alice", lease, verdict=rows[lease["external_id"]])
    assert against(desk) == []
    answer(desk, "insult", 1)
    assert len(against(desk)) == 1
    play(desk)  # the new model was taught these labels
    assert against(desk) == []


@pytest.mark.django_db
def test_only_the_newest_events_are_looked_through(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(desk, "insult", 2)
    assert len(against(desk)) == 2
    monkeypatch.setattr(unsure, "MOST_EVENTS", 1)
    assert len(against(desk)) <= 1


@pytest.mark.django_db
def test_each_label_is_probed_whatever_the_planner_knows_of_the_tables(desk: Desk) -> None:
    """Of tables without statistics the planner would pass all items for every label."""
    names = answer(desk, "insult", 3)
    items = list(Item.objects.filter(external_id__in=names).values_list("pk", flat=True))
    about: dict[str, Any] = {
        "project": desk.project.pk,
        "model": current(desk).pk,
        "question": 1,
        "items": items,
        "most": 100,
    }
    with robust_plans(), connection.cursor() as cursor:
        cursor.execute("explain (analyze, costs off, timing off) " + unsure._CONTRADICTIONS, about)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    removed = [int(n) for n in re.findall(r"Rows Removed by (?:Join )?Filter: (\d+)", plan)]
    assert sum(removed) <= len(items)
    assert "Seq Scan" not in plan


@pytest.mark.django_db
def test_the_page_asks_as_much_for_many_items_as_for_few(desk: Desk) -> None:
    def count_queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            open_page(desk)
        return len(asked)

    few = count_queries()
    add(desk, 20, BETWEEN, "more")
    play(desk)
    assert count_queries() <= few


@pytest.mark.django_db
def test_the_page_teaches_before_there_is_a_model(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    assert "No model yet" in open_page(desk)
    assert "Start a round" not in open_page(desk, "rita")


@pytest.mark.django_db
def test_a_reviewer_goes_on_to_the_item_and_an_engineer_reads(desk: Desk) -> None:
    item = Item.objects.get(external_id__startswith="between")
    assert f"/disputes/{item.pk}/" in open_page(desk, "rita")
    assert f"/disputes/{item.pk}/" not in open_page(desk)
    assert "What the model is unsure about" in open_page(desk)


# --- Over HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_api_lists_the_items_page_by_page_as_the_page_does(desk: Desk) -> None:
    enzo = Api(desk.cast.enzo)
    model = current(desk)
    found: list[dict[str, Any]] = []
    address = f"{LIST}?limit=3"
    while address:
        page = enzo.get(address).json()
        assert (page["question"], page["model"]["version"]) == ("verdict", model.version)
        found += page["results"]
        address = page["next"]
    assert found == listed(desk)[0]
    assert set(found[0]) >= {"id", "external_id", "state", "utility", "likeliest"}


@pytest.mark.django_db
def test_a_cursor_of_the_model_before_is_refused(desk: Desk) -> None:
    enzo = Api(desk.cast.enzo)
    address = enzo.get(f"{LIST}?limit=3").json()["next"]
    play(desk)
    assert fault_of(enzo.get(address)) == (400, "invalid_cursor")


@pytest.mark.django_db
def test_the_api_tells_what_contradicts_the_model(desk: Desk) -> None:
    answer(desk, "insult", 7)
    found = Api(desk.cast.rita).get(AGAINST).json()
    assert found["model"]["id"] == str(current(desk).pk)
    assert len(found["contradictions"]) == 7
    assert found["contradictions"] == sorted(found["contradictions"], key=lambda one: -one["probability"])
    assert {one["label"] for one in found["contradictions"]} == {"insult"}
    assert found["contradictions"][-1]["item"]["external_id"].startswith("between")


@pytest.mark.django_db
def test_before_there_is_a_model_the_api_lists_nothing(make_desk: MakeDesk) -> None:
    enzo = Api(empty_desk(make_desk).cast.enzo)
    assert enzo.get(LIST).json() == {"question": "verdict", "model": None, "results": [], "next": None}
    assert enzo.get(AGAINST).json() == {"question": "verdict", "model": None, "contradictions": []}
    assert fault_of(enzo.get(f"{LIST}?question=nothing"))[0] == 400
