"""A person's own keys: laid over the schema's, kept by person and project, and conflicts told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from annotation.actions.desk_keys import set_own_keys
from annotation.desk_keys import FIELD, check_page_keys, find_own_keys, find_shared, page_keys_of, with_own_keys
from annotation.errors import InvalidError
from annotation.models import DeskKeys
from annotation.schema import compile_schema, render_schema
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db


def rendered(**more: Any) -> list[dict[str, Any]]:
    choices = [{"value": "none", "key": "1"}, {"value": "spam", "key": "2"}, {"value": "insult", "key": "3"}]
    question = {"name": "verdict", "kind": "choice", "choices": choices, **more}
    return render_schema(compile_schema({"questions": [question]}))


def keys(questions: list[dict[str, Any]]) -> dict[str, str | None]:
    return {option["value"]: option["key"] for option in questions[0]["options"]}


def test_twelve_answers_have_the_digits_and_then_the_second_row() -> None:
    choices = [{"value": f"c{i}"} for i in range(12)]
    given = keys(rendered(choices=choices))
    assert list(given.values()) == [*"1234567890", "w", "e"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, {"none": "1", "spam": "2", "insult": "3"}),
        ({"spam": "x"}, {"none": "1", "spam": "x", "insult": "3"}),
        ({"spam": "1", "none": "2"}, {"none": "2", "spam": "1", "insult": "3"}),
        ({"spam": "1"}, {"none": "2", "spam": "1", "insult": "3"}),
        ({"gone": "x"}, {"none": "1", "spam": "2", "insult": "3"}),
    ],
)
def test_own_keys_lie_over_the_schemas(own: dict[str, str], expected: dict[str, str]) -> None:
    assert keys(with_own_keys(rendered(), {"verdict": own})) == expected


def test_branches_of_nested_answers_keep_the_keys_of_the_schema() -> None:
    nested = [{"value": "bad", "key": "b", "children": [{"value": "spam"}, {"value": "scam"}]}, {"value": "fine"}]
    assert keys(with_own_keys(rendered(choices=nested), {"verdict": {"bad": "y", "scam": "x"}})) == {
        "bad": "b",
        "spam": "1",
        "scam": "x",
        "fine": "3",
    }


def test_questions_without_options_stay_as_they_are() -> None:
    number = render_schema(compile_schema({"questions": [{"name": "age", "kind": "number"}]}))
    assert with_own_keys(number, {"age": {"1": "x"}}) == number


def test_letters_that_do_two_things_are_told() -> None:
    tone = {
        "name": "tone",
        "kind": "choice",
        "choices": [{"value": "calm", "key": "y"}, {"value": "shrill", "key": "s"}],
    }
    questions = [
        *with_own_keys(rendered(), {"verdict": {"spam": "y"}}),
        *render_schema(compile_schema({"questions": [tone]})),
    ]
    told = find_shared(questions)
    assert len(told) == 2
    assert "“shrill”" in told[0]
    assert "“spam” and “calm”" in told[1]


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk(n=2)


def as_person(desk: Desk, name: str) -> Client:
    client = Client()
    client.force_login(desk.cast[name], backend="django.contrib.auth.backends.ModelBackend")
    return client


def data_on_desk(desk: Desk, name: str, which: str) -> Any:
    html = as_person(desk, name).get("/p/forum/label/").content.decode()
    found = re.search(rf'<script id="{which}-data" type="application/json">(.*?)</script>', html)
    assert found is not None
    return json.loads(found[1])


def keys_on_desk(desk: Desk, name: str) -> list[str]:
    return [option["key"] for option in data_on_desk(desk, name, "schemas")["1"]["questions"][0]["options"]]


def test_keys_are_set_on_a_page_and_stand_on_ones_own_desk_alone(desk: Desk) -> None:
    client = as_person(desk, "alice")
    assert client.get("/p/forum/label/keys/").status_code == 200
    sent = {"verdict-0": "A", "verdict-1": "2", "verdict-2": "3"}
    assert client.post("/p/forum/label/keys/", sent).status_code == 302
    assert find_own_keys(desk.project, desk.cast.alice).keys == {"verdict": {"none": "a"}}
    assert keys_on_desk(desk, "alice") == ["a", "2", "3"]
    assert keys_on_desk(desk, "bob") == ["1", "2", "3"]
    assert client.post("/p/forum/label/keys/", {"action": "reset"}).status_code == 302
    assert keys_on_desk(desk, "alice") == ["1", "2", "3"]
    assert not DeskKeys.objects.exists()


def test_one_key_for_two_answers_is_refused_with_both_names_and_what_was_typed_stays(desk: Desk) -> None:
    response = as_person(desk, "alice").post(
        "/p/forum/label/keys/", {"verdict-0": "x", "verdict-1": "X", "verdict-2": "3"}
    )
    html = response.content.decode()
    assert response.status_code == 400
    assert "“none” and “spam” would both have the key X." in html
    assert html.count('value="x"') + html.count('value="X"') == 2
    assert not DeskKeys.objects.exists()


@pytest.mark.parametrize("own", [{"none": "ab"}, {"none": "\x07"}, {"nobody": "x"}])
def test_what_is_no_key_and_no_answer_is_refused(desk: Desk, own: dict[str, str]) -> None:
    with pytest.raises(InvalidError) as caught:
        set_own_keys(project=desk.project, person=desk.cast.alice, keys={"verdict": own})
    assert list(caught.value.fields) == ["verdict"]


# What the page does


def refusals(sent: dict[str, str], **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidError) as caught:
        check_page_keys(rendered(**more), sent)
    return {name.removeprefix(FIELD): str(text) for name, text in caught.value.fields.items()}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({}, {}),
        ({"skip": " W ", "undo": ""}, {"skip": "w"}),
        ({"skip": "z", "undo": "s"}, {"skip": "z", "undo": "s"}),
        ({"skip": "\N{CYRILLIC CAPITAL LETTER YERU}"}, {"skip": "\N{CYRILLIC SMALL LETTER YERU}"}),
        ({"skip": "s", "help": "h"}, {}),
    ],
)
def test_own_letters_for_the_page_are_kept_where_they_are_other_ones(
    sent: dict[str, str], kept: dict[str, str]
) -> None:
    assert check_page_keys(rendered(), sent) == kept


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"skip": "z"}, "“Skip the item” and “Undo the last answer” would both have the key Z."),
        ({"undo": "w", "flag": "w"}, "“Undo the last answer” and “Flag the item” would both have the key W."),
        ({"skip": "7"}, "“7” is no key for “Skip the item”: give one letter."),
        ({"skip": "ab"}, "“ab” is no key for “Skip the item”"),
        ({"skip": "?"}, "“?” is no key"),
        ({"skip": "J"}, "J belongs to the questions: “Skip the item” needs another letter."),
        ({"skip": "n"}, "N belongs to the questions"),
        ({"fly": "w"}, "The page does nothing of this name."),
    ],
)
def test_letters_that_clash_or_are_none_are_refused_with_a_sentence(sent: dict[str, str], sentence: str) -> None:
    [found] = refusals(sent).values()
    assert found.startswith(sentence)


def test_a_letter_chosen_for_the_page_that_is_an_answers_too_is_refused_and_one_that_it_has_is_not() -> None:
    choices = [{"value": "calm", "key": "y"}, {"value": "shrill", "key": "s"}]
    assert refusals({"undo": "y"}, choices=choices) == {
        "undo": "“Undo the last answer” and the answer “calm” would both have the key Y."
    }
    assert check_page_keys(rendered(choices=choices), {"undo": "w"}) == {"undo": "w"}


def test_a_letter_that_the_page_gave_up_is_told_no_more() -> None:
    questions = rendered(choices=[{"value": "calm"}, {"value": "shrill", "key": "s"}])
    assert len(find_shared(questions)) == 1
    assert find_shared(questions, page_keys_of(DeskKeys(keys={}, page={"skip": "w"}))) == []


def test_letters_for_the_page_are_set_in_the_same_place_and_stand_on_ones_own_desk_alone(desk: Desk) -> None:
    client = as_person(desk, "alice")
    assert 'name="page-skip" value="s"' in client.get("/p/forum/label/keys/").content.decode()
    assert client.post("/p/forum/label/keys/", {"verdict-0": "a", "page-skip": "W"}).status_code == 302
    assert data_on_desk(desk, "alice", "desk")["keys"]["skip"] == "w"
    assert data_on_desk(desk, "bob", "desk")["keys"]["skip"] == "s"
    assert 'name="page-skip" value="w"' in client.get("/p/forum/label/keys/").content.decode()
    refused = client.post("/p/forum/label/keys/", {"verdict-0": "a", "page-skip": "w", "page-flag": "W"})
    html = refused.content.decode()
    assert refused.status_code == 400
    assert "“Skip the item” and “Flag the item” would both have the key W." in html
    assert 'name="page-flag" value="W"' in html
    assert data_on_desk(desk, "alice", "desk")["keys"]["flag"] == "f"
    assert client.post("/p/forum/label/keys/", {"action": "reset"}).status_code == 302
    assert not DeskKeys.objects.exists()
