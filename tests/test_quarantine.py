"""Sealing what may be illegal to hold: by whoever has it before them, at once, everywhere. And two who let it out."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from annotation import queue
from annotation.actions.items import erase_items, quarantine_item
from annotation.actions.media import add_media
from annotation.actions.projects import set_member
from annotation.actions.quarantine import ask_release, confirm_release, find_quarantine, refuse_release
from annotation.audit import find_violations
from annotation.errors import StateError
from annotation.models import Event, Item, Media, Offer, Quarantine, QueueRow, Seat
from tests.api_client import Api, fault_of, make_png
from tests.cast import Desk, MakeDesk, import_rows
from tests.test_permissions import all_routes

pytestmark = pytest.mark.django_db


def address(desk: Desk, name: str) -> str:
    return f"projects/forum/items/{desk.item(name).pk}/quarantine"


def seal(desk: Desk, name: str, by: str = "rita") -> Quarantine:
    quarantine = quarantine_item(item=desk.item(name), actor=desk.cast[by])
    assert quarantine is not None
    return quarantine


def release(desk: Desk, quarantine: Quarantine) -> None:
    """Olga asks, carol (made an owner) confirms."""
    set_member(project=desk.project, user=desk.cast.carol, role="owner", actor=desk.cast.olga)
    ask_release(quarantine=quarantine, actor=desk.cast.olga, reason="a false alarm")
    confirm_release(quarantine=quarantine, actor=desk.cast.carol)


# Who may seal


def test_who_has_the_item_before_them_may_seal_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=2)
    raw = desk.lease_one("alice")
    item = Item.objects.get(pk=raw["item"])
    response = Api(desk.cast.alice).post(f"projects/forum/items/{item.pk}/quarantine")
    assert (response.status_code, response.json()["state"]) == (200, "quarantined")
    event = Event.objects.get(kind="item.quarantined")
    assert (event.actor_id, event.item_id, event.ref_id) == (desk.cast.alice.pk, item.pk, Quarantine.objects.get().pk)


def test_who_answered_it_may_still_seal_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    desk.label("alice")
    assert Api(desk.cast.alice).post(address(desk, "t-1")).status_code == 200


@pytest.mark.parametrize("end", ["skip", "release"])
def test_who_has_no_place_on_it_may_not(make_desk: MakeDesk, end: str) -> None:
    desk = make_desk(n=1)
    assert fault_of(Api(desk.cast.bob).post(address(desk, "t-1"))) == (403, "forbidden")
    assert fault_of(Api(desk.cast.bob).post("projects/forum/items/1/quarantine")) == (403, "forbidden")
    raw, bob = desk.lease_one("bob"), desk.cast.bob.pk
    ends: dict[str, Any] = {"skip": {"reason": "other"}, "release": {}}
    getattr(queue, end)(seat_id=raw["seat"], generation=raw["generation"], person_id=bob, **ends[end])
    assert fault_of(Api(desk.cast.bob).post(address(desk, "t-1"))) == (403, "forbidden")
    assert fault_of(Api(desk.cast.enzo).post(address(desk, "t-1"))) == (403, "forbidden")
    assert desk.item("t-1").lifecycle == Item.Lifecycle.OPEN


def test_a_token_that_may_not_label_seals_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    desk.lease_one("alice")
    assert fault_of(Api(desk.cast.alice, scopes=["see"]).post(address(desk, "t-1"))) == (403, "forbidden")


# What is sealed


def test_nobody_keeps_or_gets_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=3)
    held = desk.lease_one("bob")
    seal(desk, "t-1")
    bob = Api(desk.cast.bob)
    assert bob.get("projects/forum/leases").json()["results"] == []
    assert fault_of(bob.post(f"leases/{held['seat']}-{held['generation']}/renew")) == (409, "lease_gone")
    assert desk.lease("carol").reason == "empty"


def test_a_place_that_is_being_used_at_that_moment_shows_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    held = desk.lease_one("alice")
    seal(desk, "t-1")
    Seat.objects.filter(pk=held["seat"]).update(state=Seat.State.HELD)  # as one that was locked when it was sealed
    api = Api(desk.cast.alice)
    assert api.get("projects/forum/leases").json()["results"] == []
    assert api.post("projects/forum/leases", {}).json()["leases"] == []
    assert fault_of(api.post(f"leases/{held['seat']}-{held['generation']}/renew")) == (409, "lease_gone")


def test_an_item_whose_dispute_ends_while_it_is_sealed_is_offered_to_nobody_until_it_is_let_out(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    record = seal(desk, "t-1")
    row, bob = desk.row("t-1"), Seat.objects.get(person=desk.cast.bob)
    queue.ask_again(seat_ids=[bob.pk], rows={row.pk: 1})
    row.refresh_from_db()
    assert (row.state, row.is_closed, row.n_submitted) == (QueueRow.State.OPEN, True, 1)
    assert not Offer.objects.exists()
    assert desk.lease("carol").leases == []
    release(desk, record)
    assert desk.lease_one("carol")["item"] == row.item_id
    assert desk.lease("rita", kind="adjudicate").leases == []


def test_a_dispute_that_begins_on_a_sealed_item_waits_until_it_is_let_out(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none")
    held = desk.lease_one("bob")
    record = seal(desk, "t-1")
    Seat.objects.filter(pk=held["seat"]).update(state=Seat.State.HELD)  # as one that was locked when it was sealed
    desk.submit("bob", held, "spam")
    assert desk.row("t-1").state == QueueRow.State.DISPUTED
    assert not Offer.objects.exists()
    assert desk.lease("rita", kind="adjudicate").reason == "empty"
    release(desk, record)
    assert desk.lease_one("rita", kind="adjudicate")["item"] == desk.item("t-1").pk


@pytest.fixture
def pictures(make_desk: MakeDesk) -> Desk:
    """Two items that show one file, one that shows another, and a text, in `forum`."""
    desk = make_desk(n=1)
    shas = [
        add_media(project=desk.project, source=io.BytesIO(make_png(shade=shade)), actor=None)[0].sha256
        for shade in (10, 200)
    ]
    parts = {"p-1": shas[0], "p-2": shas[0], "p-3": shas[1]}
    import_rows(
        desk.project,
        [{"external_id": name, "parts": [{"kind": "image", "media": sha}]} for name, sha in parts.items()],
    )
    return desk


def sources(desk: Desk, name: str) -> dict[str, str]:
    """The addresses of the files that a person was handed, by item."""
    items = [lease["item"] for lease in Api(desk.cast[name]).lease(n=4)]
    return {item["id"]: item["parts"][0]["src"] for item in items if item["parts"][0]["kind"] == "image"}


def status_of(api: Api, src: str) -> int:
    """The answer to a request for a file, read to its end."""
    response = api.get(src)
    assert len(b"".join(response)) > 0
    return int(response.status_code)


def test_addresses_of_its_files_stop_at_once(pictures: Desk) -> None:
    desk = pictures
    where = sources(desk, "alice")
    seen = Api(desk.cast.alice)
    assert [status_of(seen, src) for src in where.values()] == [200] * 3
    seal(desk, "p-1")
    status = {item: status_of(seen, src) for item, src in where.items()}
    assert status == {
        str(desk.item("p-1").pk): 404,
        str(desk.item("p-2").pk): 404,
        str(desk.item("p-3").pk): 200,
    }


def test_whatever_shows_the_same_file_is_sealed_with_it(pictures: Desk) -> None:
    desk = pictures
    quarantine = seal(desk, "p-1")
    states = {name: desk.item(name).lifecycle for name in ("p-1", "p-2", "p-3")}
    sealed, open_ = Item.Lifecycle.QUARANTINED, Item.Lifecycle.OPEN
    assert states == {"p-1": sealed, "p-2": sealed, "p-3": open_}
    assert quarantine.item_ids == [desk.item("p-1").pk, desk.item("p-2").pk]
    assert Event.objects.filter(kind="item.quarantined").count() == 2
    assert find_quarantine(desk.item("p-2")) == quarantine


def test_a_sealed_file_is_in_no_new_item(pictures: Desk) -> None:
    desk = pictures
    sha = desk.item("p-1").payload.parts[0]["media"]
    seal(desk, "p-1")
    row = {"external_id": "p-4", "parts": [{"kind": "image", "media": sha}]}
    with pytest.raises(AssertionError, match="sealed"):
        import_rows(desk.project, [row])
    assert not Item.objects.filter(external_id="p-4").exists()


ADDRESSES = [
    re.sub(r"<\w+:(\w+)>", r"{\1}", route)
    for route in all_routes()
    if "<slug:slug>" in route and set(re.findall(r"<\w+:(\w+)>", route)) <= {"slug", "item_id"}
]


def addresses_that_show(desk: Desk, secret: str, item_id: int, word: str) -> set[str]:
    """The addresses in the project that show a secret to anybody; lists are searched for a word too."""
    found = set()
    for name in ("alice", "rita", "enzo", "olga"):
        client = Client()
        client.force_login(desk.cast[name])
        for address in ADDRESSES:
            path = "/" + address.format(slug="forum", item_id=item_id)
            for query in ("", f"?q={word}") if "items" in address else ("",):
                if secret in b"".join(client.get(path + query)).decode():
                    found.add(address)
    return found


def test_its_content_is_on_no_page_and_in_no_answer_of_the_api(make_desk: MakeDesk) -> None:
    row = {"external_id": "t-1", "text": "abracadabra hocuspocus", "metadata": {"note": "hocuspocus"}}
    desk = make_desk(rows=[row], overlap=3)
    desk.vote("t-1", alice="none", bob="spam", carol="insult")
    item = desk.item("t-1")
    shown = addresses_that_show(desk, "hocuspocus", item.pk, "abracadabra")
    assert len(shown) >= 4, shown
    seal(desk, "t-1")
    assert addresses_that_show(desk, "hocuspocus", item.pk, "abracadabra") == set()


def test_sealing_again_changes_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    seal(desk, "t-1")
    assert quarantine_item(item=desk.item("t-1"), actor=desk.cast.olga) is None
    assert (Quarantine.objects.count(), Event.objects.filter(kind="item.quarantined").count()) == (1, 1)


# Letting out


def test_two_people_let_it_out_and_work_goes_on(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=2)
    desk.vote("t-1", alice="none")
    held = desk.lease("bob", 2).leases
    assert len(held) == 2
    quarantine = seal(desk, "t-1")
    release(desk, quarantine)
    assert (desk.item("t-1").lifecycle, desk.n_free("t-1")) == (Item.Lifecycle.OPEN, 1)
    assert find_violations() == {}
    again = {raw["item"]: raw for raw in desk.lease("bob", 2).leases}
    assert desk.submit("bob", again[desk.item("t-1").pk]).item_state == "agreed"
    assert find_quarantine(desk.item("t-1")) is None


def test_a_dispute_is_a_dispute_again(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    assert desk.vote("t-1", alice="none", bob="spam") == "disputed"
    quarantine = seal(desk, "t-1")
    assert desk.lease("rita", kind="adjudicate").leases == []
    release(desk, quarantine)
    assert queue.item_state(desk.item("t-1").pk) == "disputed"
    assert (desk.n_free("t-1"), desk.n_free("t-1", kind=2)) == (0, 1)
    assert desk.lease_one("rita", "adjudicate")["item"] == desk.item("t-1").pk
    assert find_violations() == {}


def test_what_was_agreed_is_agreed_again_and_offered_to_nobody(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    assert desk.vote("t-1", alice="none") == "agreed"
    release(desk, seal(desk, "t-1"))
    assert queue.item_state(desk.item("t-1").pk) == "agreed"
    assert desk.lease("bob").reason == "empty"


def test_one_person_is_not_enough(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    quarantine = seal(desk, "t-1", by="olga")
    with pytest.raises(StateError, match="one owner asks"):
        confirm_release(quarantine=quarantine, actor=desk.cast.olga)
    ask_release(quarantine=quarantine, actor=desk.cast.olga, reason="mine")
    with pytest.raises(StateError, match="yourself"):
        confirm_release(quarantine=quarantine, actor=desk.cast.olga)
    with pytest.raises(StateError, match="already"):
        ask_release(quarantine=quarantine, actor=desk.cast.carol, reason="mine")
    assert desk.item("t-1").lifecycle == Item.Lifecycle.QUARANTINED


def test_the_database_refuses_a_release_by_one(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    quarantine = seal(desk, "t-1")
    rows = Quarantine.objects.filter(pk=quarantine.pk)
    for asked_by in (None, desk.cast.olga):
        with pytest.raises(IntegrityError, match="quarantine_released_by_two"), transaction.atomic():
            rows.update(asked_by=asked_by, released_by=desk.cast.olga)


def test_a_request_that_was_refused_is_gone(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    quarantine = seal(desk, "t-1")
    with pytest.raises(StateError):
        refuse_release(quarantine=quarantine, actor=desk.cast.carol)
    ask_release(quarantine=quarantine, actor=desk.cast.olga, reason="a false alarm")
    refuse_release(quarantine=quarantine, actor=desk.cast.carol)
    with pytest.raises(StateError):
        confirm_release(quarantine=quarantine, actor=desk.cast.carol)
    release(desk, quarantine)
    with pytest.raises(StateError, match="already"):
        confirm_release(quarantine=quarantine, actor=desk.cast.carol)
    kinds = list(Event.objects.filter(ref_id=quarantine.pk, kind__startswith="item.rel").values_list("kind", flat=True))
    assert sorted(kinds) == ["item.release_asked"] * 2 + ["item.release_refused", "item.released"]


def test_a_file_stays_sealed_while_another_sealing_holds_it(pictures: Desk) -> None:
    desk = pictures
    sha = desk.item("p-3").payload.parts[0]["media"]
    first = seal(desk, "p-1")
    release(desk, first)
    assert not Media.objects.filter(is_sealed=True).exists()
    second = seal(desk, "p-3")
    other = Quarantine.objects.create(project=desk.project, item_ids=[1], media=[sha], sealed_by=desk.cast.olga)
    release(desk, second)
    assert Media.objects.get(sha256=sha).is_sealed
    release(desk, other)
    assert not Media.objects.get(sha256=sha).is_sealed


def test_what_was_erased_meanwhile_stays_erased(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    quarantine = seal(desk, "t-1")
    erase_items(project=desk.project, item_ids=[desk.item("t-1").pk], actor=desk.cast.olga, reason="asked for")
    release(desk, quarantine)
    assert desk.item("t-1").lifecycle == Item.Lifecycle.ERASED
    assert desk.lease("alice").leases == []


def test_an_archived_item_is_archived_again(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    Item.objects.update(lifecycle=Item.Lifecycle.ARCHIVED)
    release(desk, seal(desk, "t-1"))
    assert desk.item("t-1").lifecycle == Item.Lifecycle.ARCHIVED


def test_a_release_by_two_calls(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    set_member(project=desk.project, user=desk.cast.carol, role="owner", actor=desk.cast.olga)
    olga, carol = Api(desk.cast.olga), Api(desk.cast.carol)
    assert fault_of(olga.delete(address(desk, "t-1"), {"reason": "x"})) == (409, "wrong_state")
    seal(desk, "t-1")
    assert fault_of(olga.delete(address(desk, "t-1"))) == (400, "invalid")
    asked = olga.delete(address(desk, "t-1"), {"reason": "a false alarm"})
    assert (asked.status_code, asked.json()["state"], asked.json()["release"]) == (202, "quarantined", "asked")
    assert fault_of(olga.delete(address(desk, "t-1"), {"reason": "again"})) == (409, "wrong_state")
    assert fault_of(Api(desk.cast.rita).delete(address(desk, "t-1"))) == (403, "forbidden")
    done = carol.delete(address(desk, "t-1"))
    assert (done.status_code, done.json()["state"], done.json()["release"]) == (200, "open", "done")


# The record


def test_the_record_names_people_and_ids_and_shows_no_content(make_desk: MakeDesk, client: Client) -> None:
    secret = "words that nobody reads"
    desk = make_desk(rows=[{"external_id": "t-1", "text": secret, "metadata": {"note": secret}, "group": secret}])
    where = reverse("project-quarantine", args=["forum"])
    client.force_login(desk.cast.olga)
    assert "Nothing was sealed" in client.get(where).content.decode()
    quarantine = seal(desk, "t-1", by="alice")
    page = client.get(where).content.decode()
    assert "t-1" in page
    assert "alice" in page
    assert secret not in page
    client.post(where, {"quarantine": quarantine.pk, "action": "ask", "reason": "a false alarm"})
    page = client.get(where).content.decode()
    assert "a false alarm" in page
    assert 'value="confirm"' not in page
    set_member(project=desk.project, user=desk.cast.carol, role="owner", actor=desk.cast.olga)
    client.force_login(desk.cast.carol)
    assert 'value="confirm"' in client.get(where).content.decode()
    client.post(where, {"quarantine": quarantine.pk, "action": "confirm"})
    assert desk.item("t-1").lifecycle == Item.Lifecycle.OPEN
    assert "let out" in client.get(where).content.decode()


def test_another_projects_sealing_is_out_of_reach(make_desk: MakeDesk, client: Client) -> None:
    desk, other = make_desk(n=1), make_desk(n=1, slug="other")
    quarantine = seal(desk, "t-1")
    client.force_login(desk.cast.olga)
    where = reverse("project-quarantine", args=["other"])
    sent = {"quarantine": quarantine.pk, "action": "ask", "reason": "x"}
    assert client.post(where, sent).status_code == 404
    assert other.item("t-1").lifecycle == Item.Lifecycle.OPEN
