"""How content is shown to whom: a person's own views, the organisation's floor, words to cover, support, breaks."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.actions.care import change_care, change_organisation_care
from annotation.actions.projects import change_project
from annotation.care import show_desk_care
from annotation.errors import InvalidError
from annotation.models import CareProfile, Organisation
from annotation.viewing import (
    DEFAULT_VIEWS,
    KINDS,
    LEVELS,
    SIZES,
    View,
    settings_of,
    stricter,
    view_classes,
    views_in_force,
)
from tests.api_client import Api, make_root
from tests.cast import Cast, MakeDesk

pytestmark = pytest.mark.django_db

VALUES: dict[str, tuple[Any, ...]] = {"blur": (0, 2, 5), "size": SIZES}


def values_of(name: str) -> tuple[Any, ...]:
    """Values of a setting, the one that shows most first."""
    return VALUES.get(name, (False, True))


# Views


@pytest.mark.parametrize("kind", KINDS)
def test_no_wish_goes_below_the_floor_of_severe_items(kind: str) -> None:
    for name in settings_of(kind):
        for wish, least in itertools.product(values_of(name), values_of(name)):
            views = views_in_force({level: {kind: {name: wish}} for level in LEVELS}, {kind: {name: least}})
            order = values_of(name).index
            assert order(views["severe"][kind][name]) == max(order(wish), order(least))
            assert views["ordinary"][kind][name] == wish


def test_who_set_nothing_sees_severe_media_hidden() -> None:
    views = views_in_force({}, {})
    assert views == DEFAULT_VIEWS
    assert [views["severe"][kind]["hidden"] for kind in KINDS] == [True] * 4
    assert [views["ordinary"][kind]["hidden"] for kind in KINDS] == [False] * 4


def test_views_in_force_are_nobodys_to_change_for_others() -> None:
    views = views_in_force({}, {"image": {"blur": 5}})
    views["severe"]["image"]["grey"] = True
    assert views_in_force({}, {}) == DEFAULT_VIEWS
    assert not DEFAULT_VIEWS["severe"]["image"]["grey"]


@pytest.mark.parametrize(("name", "one", "other", "both"), [("size", "small", "full", "small"), ("blur", 1, 3, 3)])
def test_the_stricter_of_two_shows_less(name: str, one: Any, other: Any, both: Any) -> None:
    assert stricter(name, one, other) == stricter(name, other, one) == both


def test_a_view_as_classes() -> None:
    view: View = {"hidden": False, "blur": 3, "grey": True, "mute": True, "size": "small"}
    assert view_classes(view) == "view view-blur-3 view-grey view-small"
    assert view_classes({"hidden": True, "mask": True}) == "view view-hidden view-mask"


@pytest.mark.parametrize(
    ("views", "field"),
    [
        ([], "views"),
        ({"mild": {}}, "views"),
        ({"severe": []}, "views.severe"),
        ({"severe": {"smell": {}}}, "views.severe"),
        ({"severe": {"text": {"blur": 1}}}, "views.severe.text"),
        ({"severe": {"image": {"blur": 6}}}, "views.severe.image.blur"),
        ({"severe": {"image": {"blur": True}}}, "views.severe.image.blur"),
        ({"severe": {"image": {"size": "tiny"}}}, "views.severe.image.size"),
        ({"ordinary": {"video": {"mute": 1}}}, "views.ordinary.video.mute"),
    ],
)
def test_a_faulty_view_is_named(cast: Cast, views: Any, field: str) -> None:
    response = Api(cast.alice).patch("me/care", {"views": views})
    assert (response.status_code, set(response.json()["fields"])) == (400, {field})


def test_a_persons_views_reach_their_desk_and_nobody_elses(make_desk: MakeDesk) -> None:
    desk = make_desk()
    change_care(person=desk.cast.alice, changes={"views": {"ordinary": {"image": {"grey": True}}}, "break_minutes": 20})
    alice, bob = (show_desk_care(desk.cast[name], desk.project) for name in ("alice", "bob"))
    assert [care["views"]["ordinary"]["image"]["grey"] for care in (alice, bob)] == [True, False]
    assert (alice["breaks"], bob["breaks"]) == (
        {"severe_minutes": 50, "own_minutes": 20},
        {"severe_minutes": 50, "own_minutes": None},
    )


def test_the_organisations_floor_reaches_every_desk(make_desk: MakeDesk) -> None:
    desk = make_desk()
    change_organisation_care(changes={"floor": {"video": {"grey": True}}}, actor=desk.cast.olga)
    change_care(person=desk.cast.alice, changes={"views": {"severe": {"video": {"grey": False, "hidden": False}}}})
    view = show_desk_care(desk.cast.alice, desk.project)["views"]["severe"]["video"]
    assert (view["grey"], view["hidden"]) == (True, False)  # the floor that was set replaces the one of the house


def test_words_and_support_of_project_and_organisation_come_together(make_desk: MakeDesk) -> None:
    desk = make_desk(care={"support": "Ask Ruth.", "masked_words": ["Beta", "  two  words "]})
    change_organisation_care(changes={"support": "Call 123.", "masked_words": ["alpha"]}, actor=desk.cast.olga)
    care = show_desk_care(desk.cast.alice, desk.project)
    assert care["masked_words"] == ["alpha", "beta", "two words"]
    assert care["support"] == "Ask Ruth.\n\nCall 123."


@pytest.mark.parametrize(
    "care",
    [{"support": 7}, {"support": "x" * 2001}, {"masked_words": "slur"}, {"masked_words": [""]}, {"masked_words": [1]}],
)
def test_faulty_words_and_support_are_named(make_desk: MakeDesk, care: dict[str, Any]) -> None:
    desk = make_desk()
    with pytest.raises(InvalidError):
        change_project(project=desk.project, settings={"care": care}, actor=desk.cast.olga)
    with pytest.raises(InvalidError):
        change_organisation_care(changes=care, actor=desk.cast.olga)


# Pages


def page_of(client: Client, where: str) -> str:
    response = client.get(where)
    assert response.status_code == 200
    return str(response.content.decode())


def filled(page: str) -> dict[str, Any]:
    """A form as a browser would send it back: the fields of the page with their values."""
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", page):
        fields = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        is_box = fields.get("type") in ("checkbox", "radio")
        if "name" in fields and "disabled" not in tag and (not is_box or "checked" in tag):
            found.setdefault(fields["name"], []).append(fields.get("value", "on" if is_box else ""))
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        found[name] = re.findall(r'value="([^"]*)" selected', options)
    for name, text in re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL):
        found[name] = [text]
    return found


def test_a_person_sets_their_care_on_a_page(make_desk: MakeDesk, client: Client) -> None:
    desk = make_desk(rows=[{"text": "x", "metadata": {"severity": "severe", "harm": "gore"}}])
    client.force_login(desk.cast.alice)
    where = reverse("own-care")
    form = filled(page_of(client, where))
    assert form["severe-image-blur"] == ["2"]
    assert "severe-image-hidden" not in form  # the organisation has set it
    sent = {**form, "severe-image-blur": "4", "ordinary-text-mask": "on", "opted_out": ["gore"], "break_minutes": "25"}
    assert client.post(where, sent).status_code == 302
    profile = CareProfile.objects.get(person=desk.cast.alice)
    assert profile.views == {"ordinary": {"text": {"mask": True}}, "severe": {"image": {"blur": 4}}}
    assert (profile.opted_out, profile.break_minutes) == (["gore"], 25)
    assert filled(page_of(client, where))["severe-image-blur"] == ["4"]


def test_a_form_from_elsewhere_does_not_go_below_the_floor(make_desk: MakeDesk, client: Client) -> None:
    desk = make_desk()
    change_organisation_care(changes={"floor": {"image": {"hidden": True, "blur": 3}}}, actor=desk.cast.olga)
    client.force_login(desk.cast.alice)
    form = filled(page_of(client, reverse("own-care")))
    response = client.post(reverse("own-care"), {**form, "severe-image-blur": "1"})
    assert response.status_code == 400
    assert client.post(reverse("own-care"), form).status_code == 302
    assert show_desk_care(desk.cast.alice, desk.project)["views"]["severe"]["image"]["hidden"]


def test_the_administrator_sets_care_for_everybody_on_a_page(client: Client) -> None:
    client.force_login(make_root())
    where = reverse("organisation-care")
    form = filled(page_of(client, where))
    sent = {
        **form,
        "severe_items": "40",
        "support": "Call 123.",
        "masked_words": "Alpha\n\nbeta",
        "floor-image-blur": "1",
    }
    assert client.post(where, sent).status_code == 302
    organisation = Organisation.objects.get()
    assert (organisation.severe_items, organisation.support) == (40, "Call 123.")
    assert organisation.masked_words == ["alpha", "beta"]
    assert organisation.view_floor is not None
    assert (organisation.view_floor["image"]["blur"], organisation.view_floor["video"]["hidden"]) == (1, True)


def test_the_page_of_nobody_who_administers_is_refused(cast: Cast, client: Client) -> None:
    client.force_login(cast.olga)
    assert client.get(reverse("organisation-care")).status_code == 403


def test_support_stands_on_the_page_and_on_the_desk(make_desk: MakeDesk, client: Client) -> None:
    desk = make_desk(care={"support": "Ask <Ruth>."})
    change_organisation_care(changes={"support": "Call 123."}, actor=desk.cast.olga)
    client.force_login(desk.cast.alice)
    assert "Call 123." in page_of(client, reverse("own-care"))
    page = page_of(client, reverse("project-label", args=["forum"]))
    found = re.search(r'<script id="desk-data" type="application/json">(.*?)</script>', page)
    assert found is not None
    care = json.loads(found[1])["care"]
    assert care["support"] == "Ask <Ruth>.\n\nCall 123."
    assert set(care) == {"views", "masked_words", "support", "breaks", "care_url", "care_page_url"}
