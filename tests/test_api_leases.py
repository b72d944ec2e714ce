"""Leases over HTTP: what is offered, answering, replaying, giving back, taking back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from annotation import recent
from annotation.models import Annotation, AnnotationText, ApiToken, Member, Seat, User
from tests.api_client import Api, fault_of
from tests.cast import Desk, MakeDesk
from tests.test_queue import expire_lease

pytestmark = pytest.mark.django_db


def seat_of(lease: dict[str, Any]) -> Seat:
    return Seat.objects.get(pk=lease["id"].split("-")[0])


def expire(lease: dict[str, Any]) -> None:
    expire_lease({"seat": seat_of(lease).pk})


# Asking


def test_a_lease_has_the_shape_that_is_promised(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    response = Api(desk.cast.alice).post("projects/forum/leases", {"n": 1, "kind": "label"})
    assert response.status_code == 200
    body = response.json()
    assert (set(body), body["reason"], body["retry_after"]) == ({"leases", "reason", "retry_after"}, None, None)
    [lease] = body["leases"]
    assert set(lease) == {"id", "expires_at", "kind", "item", "schema_version", "guideline_version"}
    assert (lease["kind"], lease["schema_version"], lease["guideline_version"]) == ("label", 1, None)
    assert lease["expires_at"].endswith("Z")
    assert lease["item"] == {
        "id": str(desk.item("t-1").pk),
        "parts": [{"name": "text", "kind": "text", "role": "target", "text": "text number 1"}],
        "metadata": {},
        "suggestion": None,
    }


def test_an_empty_body_asks_for_one(make_desk: MakeDesk) -> None:
    assert len(Api(make_desk().cast.alice).post("projects/forum/leases").json()["leases"]) == 1


def test_asking_tops_up_and_what_is_held_comes_first(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=6).cast.alice)
    first = api.lease(n=2)
    assert api.lease(n=2) == first
    assert api.lease(n=4)[:2] == first
    held = api.get("projects/forum/leases").json()
    assert held == {"results": api.lease(n=4), "next": None}
    full = api.post("projects/forum/leases", {"n": 6}).json()
    assert (len(full["leases"]), full["reason"]) == (5, "limit")


def test_why_there_is_nothing_is_said(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    alice, bob = Api(desk.cast.alice), Api(desk.cast.bob)
    alice.lease()
    answer = bob.post("projects/forum/leases", {}).json()
    assert (answer["leases"], answer["reason"]) == ([], "all_leased")
    assert 0 < answer["retry_after"] <= 600
    Api(desk.cast.olga).patch("projects/forum", {"state": "paused"})
    assert bob.post("projects/forum/leases", {}).json()["reason"] == "paused"


def test_the_external_id_is_hidden_from_annotators_and_shown_to_owners(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3, overlap=3)
    assert "external_id" not in Api(desk.cast.alice).lease()[0]["item"]
    assert "external_id" not in Api(desk.cast.rita).lease()[0]["item"]
    assert Api(desk.cast.olga).lease()[0]["item"]["external_id"] in ("t-1", "t-2", "t-3")
    Api(desk.cast.olga).patch("projects/forum", {"show_external_id": True})
    time.sleep(recent.SECONDS)
    assert Api(desk.cast.alice).lease()[0]["item"]["external_id"] in ("t-1", "t-2", "t-3")


def test_annotators_see_the_metadata_that_the_project_shows(make_desk: MakeDesk) -> None:
    rows = [{"external_id": "a", "text": "x", "metadata": {"language": "en", "score": 0.9}}]
    desk = make_desk(rows=rows, shown_metadata=["language", "absent"])
    assert Api(desk.cast.alice).lease()[0]["item"]["metadata"] == {"language": "en"}


@pytest.mark.parametrize(
    "body",
    [
        {"n": 0},
        {"n": -1},
        {"n": 1001},
        {"n": "1"},
        {"n": 1.0},
        {"n": True},
        {"n": None},
        {"kind": "practice"},
        {"kind": ["label"]},
        {"kind": None},
        {"m": 1},
        [],
        "leases",
        7,
        None,
    ],
)
def test_a_faulty_request_for_leases_is_refused(make_desk: MakeDesk, body: object) -> None:
    desk = make_desk()
    response = Api(desk.cast.alice).post("projects/forum/leases", raw=json.dumps(body))
    assert fault_of(response) == (400, "invalid")
    assert not Seat.objects.exists()


def test_disputes_are_leased_to_reviewers_alone(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    asked = {"kind": "adjudicate"}
    assert fault_of(Api(desk.cast.carol).post("projects/forum/leases", asked)) == (403, "forbidden")
    rita = Api(desk.cast.rita)
    [lease] = rita.lease(kind="adjudicate")
    assert lease["kind"] == "adjudicate"
    refused = rita.answer(lease["id"])
    assert fault_of(refused) == (409, "wrong_state")
    assert f"items/{lease['item']['id']}/adjudication" in refused.json()["detail"]
    assert rita.delete(f"leases/{lease['id']}").status_code == 200


# Answering


def test_an_answer_is_stored_and_the_item_s_state_is_told(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    alice, bob = Api(desk.cast.alice), Api(desk.cast.bob)
    [lease] = alice.lease()
    response = alice.answer(lease["id"], "spam", seconds=4.2, unsure=True, comment="hm", flag="ambiguous")
    body = response.json()
    assert (response.status_code, set(body)) == (201, {"annotation", "item_state", "leases"})
    assert (body["item_state"], body["leases"]) == ("open", [])
    stored = Annotation.objects.get(pk=body["annotation"])
    assert (stored.person, stored.seconds, stored.is_unsure, stored.flag) == (desk.cast.alice, 4.2, True, "ambiguous")
    assert AnnotationText.objects.get(annotation=stored).comment == "hm"
    [other] = bob.lease()
    assert bob.answer(other["id"], "spam").json()["item_state"] == "agreed"


def test_an_answer_brings_the_next_leases(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=4).cast.alice)
    [lease] = api.lease()
    leases = api.answer(lease["id"], lease_next=2).json()["leases"]
    assert [one["id"] for one in leases] == [one["id"] for one in api.lease(n=2)]
    assert lease["item"]["id"] not in [one["item"]["id"] for one in leases]


@pytest.mark.parametrize(
    "headers", [{}, {"idempotency_key": ""}, {"idempotency_key": "x" * 256}, {"idempotency_key": "a\tb"}]
)
def test_an_answer_needs_an_idempotency_key(make_desk: MakeDesk, headers: dict[str, str]) -> None:
    api = Api(make_desk().cast.alice)
    [lease] = api.lease()
    response = api.post(f"leases/{lease['id']}/annotation", {"answers": {"verdict": "none"}}, **headers)
    assert fault_of(response) == (400, "key_missing")
    assert not Annotation.objects.exists()


def test_a_replay_has_the_first_answer_and_no_second_effect(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=5).cast.alice)
    [lease] = api.lease()
    first = api.answer(lease["id"], lease_next=2)
    again = api.answer(lease["id"], lease_next=2)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert Annotation.objects.count() == 1
    assert Seat.objects.count() == 3


def test_a_replay_is_known_whatever_the_spacing_and_the_order_of_keys(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.alice)
    [lease] = api.lease()
    path = f"leases/{lease['id']}/annotation"
    first = api.post(
        path, raw='{"answers": {"verdict": "none"}, "seconds": 2, "comment": "\\u00e9"}', idempotency_key="k"
    )
    again = api.post(path, raw='{ "comment":"é",\n"seconds":2,"answers":{"verdict":"none"}}', idempotency_key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["annotation"] == first.json()["annotation"]


def test_a_replay_leaves_out_leases_that_ended_and_takes_no_new_one(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=5).cast.alice)
    [lease] = api.lease()
    first = api.answer(lease["id"], lease_next=2).json()["leases"]
    api.delete(f"leases/{first[0]['id']}")
    again = api.answer(lease["id"], lease_next=2).json()["leases"]
    assert [one["id"] for one in again] == [first[1]["id"]]


def test_another_body_or_lease_under_the_same_key_is_refused(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=3).cast.alice)
    one, two = api.lease(n=2)
    assert api.answer(one["id"], "none", key="k").status_code == 201
    assert fault_of(api.answer(one["id"], "spam", key="k")) == (422, "key_reused")
    assert fault_of(api.answer(two["id"], "none", key="k")) == (422, "key_reused")
    assert Annotation.objects.count() == 1


def test_a_second_answer_under_a_new_key_is_refused(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.alice)
    [lease] = api.lease()
    api.answer(lease["id"], key="1")
    assert fault_of(api.answer(lease["id"], key="2")) == (409, "already_submitted")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "invalid", "answers"),
        ({"answers": []}, "invalid", "answers"),
        ({"answers": None}, "invalid", "answers"),
        ({"answers": {}}, "invalid_answers", "verdict"),
        ({"answers": {"verdict": "absent"}}, "invalid_answers", "verdict"),
        ({"answers": {"verdict": 1}}, "invalid_answers", "verdict"),
        ({"answers": {"verdict": ["none"]}}, "invalid_answers", "verdict"),
        ({"answers": {"verdict": {"a": {"b": []}}}}, "invalid_answers", "verdict"),
        ({"answers": {"verdict": "none", "other": 1}}, "invalid_answers", "other"),
        ({"answers": {"verdict": "none"}, "seconds": -1}, "invalid", "seconds"),
        ({"answers": {"verdict": "none"}, "seconds": "4"}, "invalid", "seconds"),
        ({"answers": {"verdict": "none"}, "unsure": "no"}, "invalid", "unsure"),
        ({"answers": {"verdict": "none"}, "flag": "bored"}, "invalid", "flag"),
        ({"answers": {"verdict": "none"}, "flag": ["other"]}, "invalid", "flag"),
        ({"answers": {"verdict": "none"}, "comment": 5}, "invalid", "comment"),
        ({"answers": {"verdict": "none"}, "comment": "x" * 10_001}, "invalid", "comment"),
        ({"answers": {"verdict": "none"}, "clauses": ["spam-1"]}, "invalid", "clauses"),
        ({"answers": {"verdict": "none"}, "lease_next": -1}, "invalid", "lease_next"),
        ({"answers": {"verdict": "none"}, "lease_next": 10**12}, "invalid", "lease_next"),
        ({"answers": {"verdict": "none"}, "extra": 1}, "invalid", "extra"),
    ],
)
def test_a_faulty_answer_is_refused_and_nothing_is_stored(
    make_desk: MakeDesk, body: dict[str, object], code: str, field: str
) -> None:
    api = Api(make_desk().cast.alice)
    [lease] = api.lease()
    response = api.post(f"leases/{lease['id']}/annotation", body, idempotency_key="k")
    assert fault_of(response) == ({"invalid": 400, "invalid_answers": 422}[code], code)
    assert field in response.json()["fields"]
    assert not Annotation.objects.exists()
    assert api.answer(lease["id"], key="k").status_code == 201


@pytest.mark.parametrize(
    "lease_id",
    ["1", "0-1", "1-", "-1", "1-1-1", "x-1", "9" * 30 + "-1", "1-" + "9" * 30, "1-99999999999", "%00", "٣-1"],
)
def test_a_lease_that_is_none_is_absent(make_desk: MakeDesk, lease_id: str) -> None:
    api = Api(make_desk().cast.alice)
    assert fault_of(api.answer(lease_id)) == (404, "not_found")
    assert fault_of(api.post(f"leases/{lease_id}/renew")) == (404, "not_found")
    assert fault_of(api.delete(f"leases/{lease_id}")) == (404, "not_found")


@pytest.mark.parametrize("generation", ["", "0", "2", "2147483648", "9223372036854775807", "1e3"])
def test_a_generation_that_is_not_the_lease_s_ends_no_lease(make_desk: MakeDesk, generation: str) -> None:
    api = Api(make_desk().cast.alice)
    [lease] = api.lease()
    wrong = f"{seat_of(lease).pk}-{generation}"
    assert fault_of(api.answer(wrong))[0] in (404, 409)
    assert fault_of(api.delete(f"leases/{wrong}"))[0] in (404, 409)
    assert api.answer(lease["id"]).status_code == 201


def test_somebody_else_s_lease_is_absent(make_desk: MakeDesk) -> None:
    desk = make_desk()
    [lease] = Api(desk.cast.alice).lease()
    assert fault_of(Api(desk.cast.bob).answer(lease["id"])) == (404, "not_found")
    assert fault_of(Api(desk.cast.olga).delete(f"leases/{lease['id']}")) == (404, "not_found")


def test_a_late_answer_is_taken_while_nobody_took_the_place(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.alice)
    [lease] = api.lease()
    expire(lease)
    assert api.answer(lease["id"]).status_code == 201


def test_a_late_answer_is_refused_when_the_place_was_taken(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    alice = Api(desk.cast.alice)
    [lease] = alice.lease()
    expire(lease)
    assert len(Api(desk.cast.bob).lease()) == 1
    assert fault_of(alice.answer(lease["id"])) == (409, "lease_gone")
    assert fault_of(alice.post(f"leases/{lease['id']}/renew")) == (409, "lease_gone")


# Giving back, taking back


def test_renewing_starts_the_time_anew(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.alice)
    [lease] = api.lease()
    expire(lease)
    response = api.post(f"leases/{lease['id']}/renew")
    assert response.status_code == 200
    renewed = response.json()
    assert renewed["id"] == lease["id"]
    assert renewed["expires_at"] > lease["expires_at"]
    assert renewed["item"] == lease["item"]


def test_a_released_lease_is_dead_and_the_item_comes_again_under_another_id(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.alice)
    [lease] = api.lease()
    response = api.delete(f"leases/{lease['id']}")
    assert (response.status_code, response.json()) == (200, {"state": "released"})
    assert fault_of(api.answer(lease["id"])) == (409, "lease_gone")
    assert fault_of(api.delete(f"leases/{lease['id']}")) == (409, "lease_gone")
    [again] = api.lease()
    assert again["item"]["id"] == lease["item"]["id"]
    assert again["id"] != lease["id"]
    assert fault_of(api.answer(lease["id"], key="old")) == (409, "lease_gone")
    assert api.answer(again["id"], key="new").status_code == 201


def test_a_skipped_item_is_not_offered_again(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    api = Api(desk.cast.alice)
    [lease] = api.lease()
    assert fault_of(api.post(f"leases/{lease['id']}/skip", {"reason": "bored"})) == (400, "invalid")
    assert fault_of(api.post(f"leases/{lease['id']}/skip", {})) == (400, "invalid")
    response = api.post(f"leases/{lease['id']}/skip", {"reason": "language"})
    assert (response.status_code, response.json()) == (200, {"state": "skipped"})
    assert fault_of(api.post(f"leases/{lease['id']}/skip", {"reason": "language"})) == (409, "lease_gone")
    assert api.post("projects/forum/leases", {}).json()["reason"] == "done_by_you"
    assert len(Api(desk.cast.bob).lease()) == 1


def test_undo_gives_the_same_place_back_to_answer_again(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    api = Api(desk.cast.alice)
    [lease] = api.lease()
    annotation = api.answer(lease["id"], "none").json()["annotation"]
    response = api.post(f"annotations/{annotation}/undo")
    assert response.status_code == 200
    [(name, again)] = response.json().items()
    assert (name, again["item"]["id"]) == ("lease", lease["item"]["id"])
    assert again["id"] != lease["id"]
    assert fault_of(api.post(f"annotations/{annotation}/undo")) == (409, "undo_too_late")
    second = api.answer(again["id"], "spam", key="second")
    assert (second.status_code, second.json()["item_state"]) == (201, "agreed")
    assert Annotation.objects.count() == 2


def test_only_the_author_may_undo(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    alice = Api(desk.cast.alice)
    annotation = alice.answer(alice.lease()[0]["id"]).json()["annotation"]
    assert fault_of(Api(desk.cast.bob).post(f"annotations/{annotation}/undo")) == (404, "not_found")
    assert fault_of(Api(desk.cast.olga).post(f"annotations/{annotation}/undo")) == (404, "not_found")


def test_holdout_items_look_like_any_other(make_desk: MakeDesk) -> None:
    """Q13: a lease of the evaluation set and one of the pool have the same keys, and differ in nothing but content."""
    desk = make_desk(n=40)
    seen: dict[int, set[str]] = {}
    for share in (0, 1):
        Api(desk.cast.olga).patch("projects/forum", {"learning": {"holdout_share": share, "every": None}})
        [lease] = Api(desk.cast.alice).lease()
        split = desk_item_split(desk, lease)
        seen[split] = shape_of(lease)
        Api(desk.cast.alice).answer(lease["id"], key=str(share))
    assert set(seen) == {0, 1}
    assert seen[0] == seen[1]


def desk_item_split(desk: Desk, lease: dict[str, Any]) -> int:
    return int(desk.project.items.get(pk=lease["item"]["id"]).split)


def shape_of(value: Any, path: str = "") -> set[str]:
    """The paths and types of everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {f"{path}: {type(value).__name__}"}
    return found.union(*(shape_of(one, f"{path}/{key}") for key, one in inner))


def test_a_language_that_somebody_does_not_take_is_not_offered(make_desk: MakeDesk) -> None:
    rows = [{"external_id": "a", "text": "x", "metadata": {"language": "de"}}]
    desk = make_desk(rows=rows)
    Api(desk.cast.olga).put("projects/forum/members/alice", {"role": "annotator", "languages": ["en"]})
    assert Api(desk.cast.alice).post("projects/forum/leases", {}).json()["reason"] == "not_qualified"
    assert len(Api(desk.cast.bob).lease()) == 1


@pytest.mark.parametrize(
    ("put_out", "status"),
    [
        (lambda desk: User.objects.filter(pk=desk.cast.alice.pk).update(is_active=False), 401),
        (lambda desk: ApiToken.objects.filter(user=desk.cast.alice).update(revoked_at=timezone.now()), 401),
        (lambda desk: Member.objects.filter(user=desk.cast.alice).update(is_active=False), 404),
    ],
    ids=["disabled", "revoked", "removed"],
)
def test_who_is_put_out_is_out_within_a_second(
    make_desk: MakeDesk, put_out: Callable[[Desk], object], status: int
) -> None:
    desk = make_desk(n=5, overlap=3)
    api = Api(desk.cast.alice)
    lease = api.post("projects/forum/leases", {"n": 1}).json()["leases"][0]
    put_out(desk)
    time.sleep(recent.SECONDS)
    assert api.post("projects/forum/leases", {"n": 2}).status_code == status
    assert api.answer(lease["id"], "none").status_code == status
