"""Items over HTTP: bringing them in, listing them in every order, erasing and sealing them."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from annotation import job_kinds, queue
from annotation.api.bodies import spool
from annotation.errors import TooLargeError
from annotation.jobs import run_job
from annotation.models import Import, Item, ItemPayload, Job, Media, Organisation, QueueRow
from learning.models import ModelVersion, Score
from reviewers.models import Resolution
from tests.api_client import Api, fault_of, make_png
from tests.cast import Desk, MakeDesk

__all__ = ["job_kinds"]

pytestmark = pytest.mark.django_db

ROWS = [{"external_id": f"n-{i}", "text": f"new {i}"} for i in range(3)]
NDJSON = "\n".join(json.dumps(row) for row in ROWS).encode()
CSV = b"external_id,text\nn-0,new 0\nn-1,new 1\nn-2,new 2\n"


@pytest.fixture(autouse=True)
def _clean_uploads() -> None:
    """Each test sees only its own uploads."""
    for path in Path(settings.UPLOAD_DIR).glob("*"):
        path.unlink()


def finish(api: Api, response: Any) -> dict[str, Any]:
    """Do the job that an answer names, and return how it ended."""
    assert response.status_code == 202, response.content
    assert response["Location"] == f"/api/v1/jobs/{response.json()['job']}"
    run_job(int(response.json()["job"]))
    job = api.get(response["Location"]).json()
    assert set(job) == {"id", "kind", "state", "done", "total", "result", "error"}
    return dict(job)


def uploads() -> list[Path]:
    return list(Path(settings.UPLOAD_DIR).glob("*"))


def make_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


# Import


@pytest.mark.parametrize(
    ("raw", "content_type", "headers"),
    [
        (NDJSON, "application/x-ndjson", {}),
        (NDJSON, "application/x-ndjson; charset=utf-8", {}),
        (CSV, "text/csv", {}),
        (make_parquet(), "application/vnd.apache.parquet", {}),
        (gzip.compress(NDJSON, mtime=0), "application/x-ndjson", {"content_encoding": "gzip"}),
    ],
)
def test_rows_become_items(make_desk: MakeDesk, raw: bytes, content_type: str, headers: dict[str, str]) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    job = finish(api, api.post("projects/forum/items", raw=raw, content_type=content_type, **headers))
    assert (job["kind"], job["state"], job["error"]) == ("import", "done", None)
    assert job["result"] == {"imported": 3, "unchanged": 0, "rejected": 0, "errors": []}
    names = {row["external_id"] for row in api.get("projects/forum/items").json()["results"]}
    assert names == {"t-1", "n-0", "n-1", "n-2"}
    assert uploads() == []


def test_a_file_comes_as_a_form_too(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    file = SimpleUploadedFile("rows.csv", CSV, content_type="application/octet-stream")
    response = api.client.post("/api/v1/projects/forum/items", {"file": file}, headers=api.headers)
    assert finish(api, response)["result"]["imported"] == 3


@pytest.mark.parametrize("n_files", [0, 2])
def test_a_form_with_another_number_of_files_is_refused(make_desk: MakeDesk, n_files: int) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    form: dict[str, Any] = {f"file{n}": SimpleUploadedFile("rows.csv", CSV) for n in range(n_files)} | {"text": "x"}
    assert fault_of(api.client.post("/api/v1/projects/forum/items", form, headers=api.headers)) == (400, "invalid")
    assert uploads() == []


def test_a_broken_form_is_refused(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    response = api.post("projects/forum/items", raw=b"rubbish", content_type="multipart/form-data; boundary=")
    assert fault_of(response) == (400, "invalid")


def test_one_wrong_row_rejects_the_file_unless_partial(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    raw = NDJSON + b'\n{"external_id": "bad"}\n'
    whole = finish(api, api.post("projects/forum/items", raw=raw, content_type="application/x-ndjson"))
    assert (whole["state"], whole["result"]["rejected"], whole["result"]["errors"][0]["line"]) == ("failed", 1, 4)
    assert whole["error"]
    assert Item.objects.count() == 1
    part = finish(api, api.post("projects/forum/items?partial=1", raw=raw, content_type="application/x-ndjson"))
    assert (part["state"], part["result"]["imported"], part["result"]["rejected"]) == ("done", 3, 1)


def test_metadata_changes_only_where_asked(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    raw = json.dumps({"external_id": "t-1", "text": "text number 1", "metadata": {"language": "en"}})
    item = Item.objects.get(external_id="t-1")
    for query, metadata in (("", {}), ("?update=metadata", {"language": "en"})):
        job = finish(api, api.post(f"projects/forum/items{query}", raw=raw, content_type="application/x-ndjson"))
        assert job["result"]["unchanged"] == 1
        item.refresh_from_db()
        assert item.metadata == metadata


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "image/png", "application/x-ndjson-2"])
def test_another_content_type_is_refused_before_anything_is_stored(make_desk: MakeDesk, content_type: str) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    response = api.post("projects/forum/items", raw=NDJSON, content_type=content_type)
    assert fault_of(response) == (415, "unsupported_type")
    assert uploads() == []


@pytest.mark.parametrize(
    ("query", "raw", "fault"),
    [
        ("?partial=yes", NDJSON, (400, "invalid")),
        ("?update=everything", NDJSON, (400, "invalid")),
        ("?partial=1&partial=0", NDJSON, (400, "invalid")),
        ("?prtial=1", NDJSON, (400, "invalid")),
        ("", b"", (400, "invalid")),
    ],
)
def test_a_faulty_import_is_refused_and_leaves_no_file(
    make_desk: MakeDesk, query: str, raw: bytes, fault: tuple[int, str]
) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    response = api.post(f"projects/forum/items{query}", raw=raw, content_type="application/x-ndjson")
    assert fault_of(response) == fault
    assert uploads() == []
    assert not Job.objects.exists()


def test_an_upload_over_the_limit_is_refused_and_leaves_no_file(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    Organisation.objects.update(max_upload_bytes=len(NDJSON) - 1)
    response = api.post("projects/forum/items", raw=NDJSON, content_type="application/x-ndjson")
    assert fault_of(response) == (413, "too_large")
    form = {"file": SimpleUploadedFile("rows.jsonl", NDJSON)}
    assert fault_of(api.client.post("/api/v1/projects/forum/items", form, headers=api.headers)) == (413, "too_large")
    assert uploads() == []


def test_a_stream_over_the_limit_is_cut_off_and_leaves_no_file() -> None:
    with pytest.raises(TooLargeError):
        spool([b"abc", b"def"], 5)
    with pytest.raises(TooLargeError):
        spool(io.BytesIO(b"abcdef"), 5)
    assert uploads() == []
    assert spool([b"abc", b"de"], 5).read_bytes() == b"abcde"


def test_an_upload_is_kept_for_its_owner_s_eyes_until_the_job_is_done(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.enzo)
    response = api.post("projects/forum/items", raw=NDJSON, content_type="application/x-ndjson")
    [path] = uploads()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == NDJSON
    finish(api, response)
    assert uploads() == []


def test_nothing_is_brought_into_an_archived_project(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    Api(desk.cast.olga).delete("projects/forum")
    response = Api(desk.cast.olga).post("projects/forum/items", raw=NDJSON, content_type="application/x-ndjson")
    assert fault_of(response) == (409, "wrong_state")
    assert uploads() == []


# The list


def give_scores(desk: Desk, utilities: dict[str, float]) -> ModelVersion:
    """A current model with a score for each of these items."""
    ModelVersion.objects.update(is_current=False)
    model = ModelVersion.objects.create(
        project=desk.project,
        question=1,
        name="m",
        version=str(ModelVersion.objects.count() + 1),
        origin="external",
        classes=[1, 2, 3],
        is_current=True,
    )
    Score.objects.bulk_create(
        Score(model_version=model, item=desk.item(name), choice=1, probability=0.5, utility=utility)
        for name, utility in utilities.items()
    )
    return model


def names_of(pages: list[list[dict[str, Any]]]) -> list[str]:
    return [row["external_id"] for page in pages for row in page]


def test_a_row_has_the_shape_that_is_promised(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    [row] = Api(desk.cast.enzo).get("projects/forum/items").json()["results"]
    assert row == {
        "id": str(desk.item("t-1").pk),
        "external_id": "t-1",
        "state": "disputed",
        "priority": 0.0,
        "utility": None,
        "disagreement": 1.0,
        "resolutions": {
            "verdict": {"state": "disputed", "value": None, "confidence": None, "method": "majority", "version": 1}
        },
        "n_annotations": 2,
    }


def test_an_accepted_value_is_shown(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="spam", bob="spam")
    [row] = Api(desk.cast.enzo).get("projects/forum/items").json()["results"]
    assert (row["state"], row["disagreement"]) == ("agreed", 0.0)
    assert row["resolutions"]["verdict"]["value"] == "spam"
    assert row["resolutions"]["verdict"]["confidence"] == 1.0


@pytest.mark.parametrize("order", ["id", "-priority", "-utility", "-disagreement"])
@pytest.mark.parametrize("limit", [1, 3, 5, 500])
def test_every_walk_meets_every_item_once(make_desk: MakeDesk, order: str, limit: int) -> None:
    desk = make_desk(n=11, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    desk.vote("t-2", alice="none", bob="none")
    desk.vote("t-3", alice="none", bob="spam")
    give_scores(desk, {f"t-{n}": (n % 3) / 3 for n in range(2, 9)})
    queue.set_ranks(
        project_id=desk.project.pk, priorities={desk.item(f"t-{n}").pk: n % 2 for n in range(1, 9)}, draw_id=None
    )
    api = Api(desk.cast.enzo)
    pages = api.walk(f"projects/forum/items?order={order}&limit={limit}")
    names = names_of(pages)
    assert sorted(names) == sorted(f"t-{n}" for n in range(1, 12))
    assert all(len(page) == limit for page in pages[:-1])
    assert names == names_of(api.walk(f"projects/forum/items?order={order}&limit=500"))


def test_orders_put_the_highest_first_and_what_has_none_last(make_desk: MakeDesk) -> None:
    desk = make_desk(n=8, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    desk.vote("t-2", alice="none", bob="none")
    pool = [f"t-{n}" for n in range(3, 9) if desk.item(f"t-{n}").split == Item.Split.POOL]
    give_scores(desk, {name: n / 10 for n, name in enumerate(pool)})
    queue.set_ranks(
        project_id=desk.project.pk, priorities={desk.item("t-5").pk: 2, desk.item("t-4").pk: 1}, draw_id=None
    )
    api = Api(desk.cast.enzo)
    by_utility = api.get("projects/forum/items?order=-utility").json()["results"]
    assert [row["external_id"] for row in by_utility[: len(pool)]] == pool[::-1]
    assert [row["utility"] for row in by_utility[len(pool) :]] == [None] * (8 - len(pool))
    by_priority = api.get("projects/forum/items?order=-priority").json()["results"]
    assert [(row["external_id"], row["priority"]) for row in by_priority[:2]] == [("t-5", 2.0), ("t-4", 1.0)]
    by_disagreement = api.get("projects/forum/items?order=-disagreement").json()["results"]
    assert [(row["external_id"], row["disagreement"]) for row in by_disagreement[:2]] == [("t-1", 1.0), ("t-2", 0.0)]
    assert [row["disagreement"] for row in by_disagreement[2:]] == [None] * 6
    by_id = api.get("projects/forum/items").json()["results"]
    assert [int(row["id"]) for row in by_id] == sorted(int(row["id"]) for row in by_id)


def test_utility_is_null_outside_the_pool(make_desk: MakeDesk) -> None:
    desk = make_desk(n=40, overlap=1)
    resolved, archived, *_rest = [
        i.external_id for i in Item.objects.filter(split=Item.Split.POOL).order_by("external_id")
    ]
    holdout = Item.objects.filter(split=Item.Split.HOLDOUT).earliest("external_id").external_id
    give_scores(desk, {f"t-{n}": 0.5 for n in range(1, 41)})
    desk.vote(resolved, alice="none")
    Item.objects.filter(external_id=archived).update(lifecycle=Item.Lifecycle.ARCHIVED)
    shown = {
        row["external_id"]: row["utility"] for row in Api(desk.cast.enzo).walk("projects/forum/items?limit=500")[0]
    }
    assert [shown[name] for name in (resolved, archived, holdout)] == [None, None, None]
    assert sum(utility == 0.5 for utility in shown.values()) == Item.objects.filter(split=Item.Split.POOL).count() - 2


def test_a_walk_by_utility_stays_on_its_model(make_desk: MakeDesk) -> None:
    desk = make_desk(n=9, overlap=2)
    give_scores(desk, {f"t-{n}": n / 10 for n in range(1, 10)})
    api = Api(desk.cast.enzo)
    whole = names_of(api.walk("projects/forum/items?order=-utility&limit=500"))
    first = api.get("projects/forum/items?order=-utility&limit=4").json()
    give_scores(desk, {f"t-{n}": -n / 10 for n in range(1, 10)})
    rest = api.walk(first["next"])
    assert names_of([first["results"], *rest]) == whole


def test_the_item_that_people_differ_on_most_in_any_question_comes_first(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    common = {"project": desk.project, "state": 2, "method": "majority", "changed_at": desk.project.created_at}
    for name, question, disagreement in (("t-1", 1, 0.2), ("t-1", 2, 0.9), ("t-2", 1, 0.5), ("t-2", 2, 0.5)):
        Resolution.objects.create(item=desk.item(name), question=question, disagreement=disagreement, **common)
    QueueRow.objects.filter(item__external_id__in=["t-1", "t-2"]).update(state=QueueRow.State.DISPUTED)
    pages = Api(desk.cast.enzo).walk("projects/forum/items?order=-disagreement&limit=1")
    assert names_of(pages) == ["t-1", "t-2", "t-3"]
    assert [page[0]["disagreement"] for page in pages] == [0.9, 0.5, None]


@pytest.mark.parametrize("order", ["id", "-priority", "-utility", "-disagreement"])
def test_states_divide_the_items(make_desk: MakeDesk, order: str) -> None:
    desk = make_desk(n=8, overlap=2)
    desk.vote("t-1", alice="none", bob="none")
    desk.vote("t-2", alice="none", bob="spam")
    desk.vote("t-3", alice="none", bob="none")
    for name, lifecycle in (("t-3", 2), ("t-4", 3), ("t-5", 1)):
        Item.objects.filter(external_id=name).update(lifecycle=lifecycle)
    give_scores(desk, {f"t-{n}": n / 10 for n in range(1, 9)})
    api = Api(desk.cast.enzo)
    found = {
        state: sorted(names_of(api.walk(f"projects/forum/items?order={order}&limit=2&state={state}")))
        for state in ("open", "agreed", "disputed", "adjudicated", "archived", "quarantined", "erased")
    }
    assert found == {
        "open": ["t-6", "t-7", "t-8"],
        "agreed": ["t-1"],
        "disputed": ["t-2"],
        "adjudicated": [],
        "archived": ["t-5"],
        "quarantined": ["t-3"],
        "erased": ["t-4"],
    }


def test_a_search_finds_the_beginning_of_an_id_and_words_of_the_text(make_desk: MakeDesk) -> None:
    rows = [
        {"external_id": "post-1", "text": "The quick brown fox"},
        {"external_id": "post-2", "text": "jumps over the lazy dog"},
        {"external_id": "50%_off", "text": "target text"},
    ]
    desk = make_desk(rows=rows)
    api = Api(desk.cast.enzo)

    def find(q: str) -> list[str]:
        pages = api.client.get("/api/v1/projects/forum/items", {"q": q}, headers=api.headers).json()["results"]
        return sorted(row["external_id"] for row in pages)

    assert find("post") == ["post-1", "post-2"]
    assert find("QUICK fox") == ["post-1"]
    assert find("quick dog") == []
    assert find("5%") == []
    assert find("50%_") == ["50%_off"]
    assert find("target") == ["50%_off"]
    assert find("' or 1=1 --") == []
    Item.objects.filter(external_id="post-1").update(lifecycle=Item.Lifecycle.QUARANTINED)
    assert find("quick fox") == []


def test_items_of_an_unfinished_import_are_not_listed(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    hidden = Import.objects.create(project=desk.project)
    Item.objects.filter(external_id="t-2").update(imported_by=hidden)
    api = Api(desk.cast.enzo)
    for order in ("id", "-priority", "-utility", "-disagreement"):
        assert sorted(names_of(api.walk(f"projects/forum/items?order={order}"))) == ["t-1", "t-3"]
    assert fault_of(api.get(f"projects/forum/items/{desk.item('t-2').pk}")) == (404, "not_found")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "limit=1" + "0" * 400,
        "limit=٣",
        "order=external_id",
        "order=project__members__user__password",
        "order=priority",
        "state=Open",
        "state=0",
        "q=%00",
        "q=" + "x" * 201,
        "colour=red",
        "state=open&state=open",
        "external_id__startswith=t",
    ],
)
def test_a_faulty_query_is_refused(make_desk: MakeDesk, query: str) -> None:
    assert fault_of(Api(make_desk(n=1).cast.enzo).get(f"projects/forum/items?{query}")) == (400, "invalid")


def test_a_cursor_of_another_list_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(n=5)
    make_other = Api(desk.cast.enzo)
    following = make_other.get("projects/forum/items?limit=2&state=open").json()["next"]
    cursor = following.split("cursor=")[1].split("&")[0]
    assert make_other.get(f"projects/forum/items?state=open&cursor={cursor}").status_code == 200
    for query in ("", "state=agreed&", "state=open&order=-priority&", "state=open&q=t&"):
        assert fault_of(make_other.get(f"projects/forum/items?{query}cursor={cursor}")) == (400, "invalid_cursor")
    for broken in ("x", cursor[:-1], "1", "a:b", cursor.swapcase()):
        assert fault_of(make_other.get(f"projects/forum/items?state=open&cursor={broken}")) == (400, "invalid_cursor")


def test_next_is_an_absolute_address_that_keeps_order_filter_and_limit(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=5).cast.enzo)
    following = api.get("projects/forum/items?limit=2&state=open&order=-priority").json()["next"]
    assert following.startswith("http://testserver/api/v1/projects/forum/items?")
    assert {"limit=2", "state=open", "order=-priority"} <= set(following.split("?")[1].split("&"))


# One item


def test_an_item_is_shown_with_its_content(make_desk: MakeDesk) -> None:
    rows = [{"external_id": "a", "text": "hello", "group": "g", "metadata": {"language": "en"}}]
    desk = make_desk(rows=rows)
    item = Api(desk.cast.enzo).get(f"projects/forum/items/{desk.item('a').pk}").json()
    assert (item["external_id"], item["state"], item["group"], item["metadata"]) == (
        "a",
        "open",
        "g",
        {"language": "en"},
    )
    assert item["parts"] == [{"name": "text", "kind": "text", "role": "target", "text": "hello"}]


@pytest.mark.parametrize("item_id", ["0", "1", "-1", "x", "9" * 19, "9" * 400, "1.0", "%00", "٣"])
def test_an_item_that_is_none_is_absent(make_desk: MakeDesk, item_id: str) -> None:
    api = Api(make_desk(n=1).cast.olga)
    assert fault_of(api.get(f"projects/forum/items/{item_id}")) == (404, "not_found")
    assert fault_of(api.delete(f"projects/forum/items/{item_id}", {"reason": "x"})) == (404, "not_found")


def test_another_project_s_item_is_absent(make_desk: MakeDesk) -> None:
    desk, other = make_desk(n=1), Api
    mallory = other(desk.cast.mallory)
    mallory.post(
        "projects",
        {"slug": "own", "name": "Own", "schema": {"questions": [{"name": "n", "kind": "rating", "min": 1, "max": 5}]}},
    )
    assert fault_of(mallory.get(f"projects/own/items/{desk.item('t-1').pk}")) == (404, "not_found")
    assert fault_of(mallory.post(f"projects/own/items/{desk.item('t-1').pk}/quarantine")) == (404, "not_found")
    assert desk.item("t-1").lifecycle == Item.Lifecycle.OPEN


def test_erasing_an_item_removes_its_payload_at_once_and_its_images_by_a_job(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    api = Api(desk.cast.olga)
    names = []
    for shade in (1, 2):
        file = SimpleUploadedFile(f"{shade}.zip", make_zip(f"{shade}.png", make_png(shade=shade)))
        finish(api, api.client.post("/api/v1/projects/forum/items", {"file": file}, headers=api.headers))
        names.append(f"{shade}.png")
    item = desk.project.items.exclude(external_id="t-1").first()
    assert item is not None
    [part] = item.payload.parts
    response = api.delete(f"projects/forum/items/{item.pk}", {"reason": "The person asked for it."})
    assert not ItemPayload.objects.filter(item=item).exists()
    assert finish(api, response)["result"] == {"media": 1}
    assert not Media.objects.filter(sha256=part["media"]).exists()
    assert Media.objects.count() == 1
    shown = api.get(f"projects/forum/items/{item.pk}").json()
    assert (shown["state"], shown["parts"], shown["metadata"]) == ("erased", [], {})


def make_zip(name: str, data: bytes) -> bytes:
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 201}, {"reason": 1}, {"why": "x"}, []])
def test_erasing_needs_a_reason(make_desk: MakeDesk, body: object) -> None:
    desk = make_desk(n=1)
    assert fault_of(Api(desk.cast.olga).delete(f"projects/forum/items/{desk.item('t-1').pk}", body)) == (400, "invalid")
    assert desk.item("t-1").lifecycle == Item.Lifecycle.OPEN


def test_a_sealed_item_is_shown_to_nobody(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    alice, rita = Api(desk.cast.alice), Api(desk.cast.rita)
    [lease] = alice.lease()
    where = f"projects/forum/items/{desk.item('t-1').pk}"
    for _again in range(2):
        response = rita.post(f"{where}/quarantine")
        assert (response.status_code, response.json()["state"]) == (200, "quarantined")
    assert fault_of(alice.answer(lease["id"])) == (409, "lease_gone")
    assert alice.get("projects/forum/leases").json()["results"] == []
    assert Api(desk.cast.bob).lease() == []
    shown = Api(desk.cast.olga).get(where).json()
    assert (shown["state"], shown["parts"], shown["metadata"]) == ("quarantined", [], {})
