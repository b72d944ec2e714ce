"""Texts, spans, boxes, segments and rankings from import to snapshot, over the API and on the reviewers' page."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from annotation.actions.items import erase_items, quarantine_item
from annotation.actions.jobs import claim_job
from annotation.commitments import commit_answer, holds
from annotation.importing.rows import RowError, parse_row
from annotation.jobs import RunningJob
from annotation.models import Annotation, AnnotationText, Label, Media
from annotation.schema import compile_schema, parse_answers
from learning.actions.snapshots import start_snapshot
from learning.models import Snapshot
from learning.snapshots import verify
from learning.snapshots.files import published_folder
from learning.tasks.snapshots import run_snapshot
from reviewers.actions.adjudication import erase_notes
from reviewers.agreement.marks import MARK_METRICS
from reviewers.algorithms.unitized import METRICS as UNITIZED
from reviewers.history import newest_answers
from reviewers.models import Adjudication, AdjudicationNote, Resolution
from tests.api_client import Api, make_png
from tests.cast import Desk, MakeDesk, import_rows
from tests.media_files import make_wav

pytestmark = pytest.mark.django_db

LABELS = [{"value": "slur", "text": "Slur"}, {"value": "name", "clause": "names-1"}]
SCHEMA: dict[str, Any] = {
    "questions": [
        {"name": "marks", "kind": "spans", "required": True, "labels": LABELS, "parts": ["body"], "overlapping": True},
        {"name": "faces", "kind": "boxes", "required": True, "labels": [{"value": "face"}]},
        {"name": "speech", "kind": "segments", "required": False, "labels": [{"value": "speech"}], "max": 5},
        {
            "name": "order",
            "kind": "ranking",
            "required": True,
            "choices": [{"value": "a"}, {"value": "b"}, {"value": "c"}],
            "ties": True,
        },
        {"name": "why", "kind": "text", "required": True, "max_length": 500},
    ]
}
PHOTO, CLIP = make_png(200, 100), make_wav()
SHA = {"photo": hashlib.sha256(PHOTO).hexdigest(), "clip": hashlib.sha256(CLIP).hexdigest()}
BODY = "a \N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN} b & <b>"
PARTS = [
    {"name": "body", "kind": "text", "text": BODY},
    {"name": "photo", "kind": "image", "media": SHA["photo"]},
    {"name": "clip", "kind": "audio", "media": SHA["clip"]},
]
ANSWERS: dict[str, Any] = {
    "marks": [{"part": "body", "start": 2, "end": 5, "label": "slur"}],
    "faces": [{"part": "photo", "x": 0.1, "y": 0.2, "w": 0.3, "h": 0.4, "label": "face"}],
    "speech": [{"part": "clip", "start": 1.25, "end": 3.5, "label": "speech"}],
    "order": [["a"], ["b", "c"]],
    "why": "Über \N{THUMBS UP SIGN}\nzwei Zeilen",
}
OTHERS: dict[str, Any] = {
    "marks": [{"part": "body", "start": 2, "end": 6, "label": "name"}],
    "faces": [{"part": "photo", "x": 0.1, "y": 0.2, "w": 0.3, "h": 0.41, "label": "face"}],  # near enough
    "speech": [],
    "order": [["c"], ["b"], ["a"]],
    "why": "No idea",
}


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """One item with a text, an image and a recording, which two people label."""
    return make_project(make_desk)


def make_project(make_desk: MakeDesk, **row: Any) -> Desk:
    """A project with the item, of which `row` says more. The media come before it, so another one makes room for it."""
    desk = make_desk(schema=SCHEMA, rows=[{"external_id": "first", "text": "x"}], overlap=2)
    api = Api(desk.cast.enzo)
    for name, raw in (("photo", PHOTO), ("clip", CLIP)):
        kept = api.put(f"projects/forum/media/{SHA[name]}", raw=raw, content_type="application/octet-stream")
        assert kept.status_code in (200, 201), kept.content
    erase_items(project=desk.project, item_ids=[desk.item("first").pk], actor=None, reason="made room")
    import_rows(desk.project, [{"external_id": "t-1", "parts": PARTS, **row}])
    return desk


def submit(desk: Desk, name: str, answers: Mapping[str, Any], key: str = "k") -> Any:
    api = Api(desk.cast[name])
    (lease,) = api.lease()
    return api.post(f"leases/{lease['id']}/annotation", {"answers": answers}, idempotency_key=key)


@pytest.fixture
def disputed(desk: Desk) -> Desk:
    """Alice and bob mark and rank differently; their boxes are near enough."""
    assert submit(desk, "alice", ANSWERS).json()["item_state"] == "open"
    assert submit(desk, "bob", OTHERS).json()["item_state"] == "disputed"
    return desk


def publish(desk: Desk) -> Path:
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo, query=None)
    claimed = claim_job(job_id=job.pk, worker="test", stale_seconds=0)
    assert claimed is not None
    run_snapshot(RunningJob(claimed))
    return published_folder(Snapshot.objects.get(job=job))


def resolutions(desk: Desk) -> dict[str, dict[str, Any]]:
    rows = Api(desk.cast.enzo).get("projects/forum/resolutions").json()["results"]
    return {row["question"]: row for row in rows}


# Over the API


def test_project_with_every_kind_is_made_and_shows_its_schema(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.olga)
    made = api.post("projects", {"slug": "all", "name": "All", "schema": SCHEMA})
    assert made.status_code == 201
    assert api.get("projects/all").json()["schema"] == SCHEMA


def test_answers_are_stored_by_id_and_come_back_as_they_were_sent(desk: Desk) -> None:
    assert submit(desk, "alice", ANSWERS).status_code == 201
    assert submit(desk, "bob", ANSWERS).json()["item_state"] == "agreed"
    stored = {label.question: label.data for label in Label.objects.filter(person=desk.cast.alice)}
    assert stored == {
        1: [{"part": "body", "start": 2, "end": 5, "label": 1}],
        2: [{"part": "photo", "x": 0.1, "y": 0.2, "w": 0.3, "h": 0.4, "label": 1}],
        3: [{"part": "clip", "start": 1.25, "end": 3.5, "label": 1}],
        4: [[1], [2, 3]],
        5: None,
    }
    found = resolutions(desk)
    assert {name: row["value"] for name, row in found.items()} == {**ANSWERS, "why": None}
    assert {row["state"] for row in found.values()} == {"agreed"}
    assert {json.dumps(row["votes"]) for row in found.values()} == {"{}"}
    (item,) = Api(desk.cast.enzo).get("projects/forum/items?state=agreed").json()["results"]
    assert item["resolutions"]["marks"]["value"] == ANSWERS["marks"]
    api = Api(None)
    api.client.force_login(desk.cast.olga)
    assert "Slur 2–5" in api.client.get("/p/forum/items/").content.decode()


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("marks", [{"part": "body", "start": 2, "end": len(BODY) + 1, "label": "slur"}], "past the end of the text"),
        ("marks", [{"part": "photo", "start": 0, "end": 1, "label": "slur"}], 'this question is about "body"'),
        ("marks", [{"part": "body", "start": 0, "end": 1, "label": "face"}], "not one of the labels"),
        ("faces", [{"part": "body", "x": 0, "y": 0, "w": 1, "h": 1, "label": "face"}], "is of the kind text"),
        ("faces", [{"part": "photo", "x": 0.9, "y": 0, "w": 0.2, "h": 1, "label": "face"}], "beyond the image"),
        ("faces", [{"part": "absent", "x": 0, "y": 0, "w": 1, "h": 1, "label": "face"}], 'no part "absent"'),
        ("speech", [{"part": "clip", "start": 3, "end": 1, "label": "speech"}], "less than its `end`"),
        ("order", [["a"], ["b"]], "Rank all 3 choices"),
        ("why", "x" * 501, "1 to 500 characters"),
        ("why", None, "needs an answer"),
    ],
)
def test_answer_that_does_not_fit_is_a_422_that_names_its_question(
    desk: Desk, name: str, wrong: object, sentence: str
) -> None:
    answer = submit(desk, "alice", {**ANSWERS, name: wrong})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_answers")
    assert list(answer.json()["fields"]) == [name]
    assert sentence in answer.json()["fields"][name]
    assert not Annotation.objects.exists()
    assert not AnnotationText.objects.exists()


def test_text_lies_apart_from_its_label_which_holds_its_commitment(desk: Desk) -> None:
    submit(desk, "alice", ANSWERS)
    annotation = Annotation.objects.get()
    text = AnnotationText.objects.get(annotation=annotation)
    assert text.answers == {"5": ANSWERS["why"]}
    salt = bytes(text.salt)
    label = Label.objects.get(question=5)
    assert bytes(label.text_commitment or b"") == commit_answer(5, ANSWERS["why"], salt)
    assert holds(bytes(annotation.text_commitment or b""), {"comment": "", "answers": text.answers}, salt)


def test_same_request_again_is_the_same_answer_after_the_content_was_erased_too(desk: Desk) -> None:
    api = Api(desk.cast.alice)
    (lease,) = api.lease()
    path, body = f"leases/{lease['id']}/annotation", {"answers": ANSWERS}
    first = api.post(path, body, idempotency_key="k")
    erase_items(project=desk.project, item_ids=[desk.item("t-1").pk], actor=None, reason="asked for")
    again = api.post(path, body, idempotency_key="k")
    assert (again.status_code, again.json()["annotation"]) == (201, first.json()["annotation"])
    assert not AnnotationText.objects.exists()
    assert api.post(path, body, idempotency_key="other").status_code == 409


def test_segment_past_the_end_is_refused_once_the_recording_was_measured(desk: Desk) -> None:
    api = Api(desk.cast.alice)
    (lease,) = api.lease()
    path, body = f"leases/{lease['id']}/annotation", {"answers": ANSWERS}
    first = api.post(path, body, idempotency_key="k")
    assert first.status_code == 201
    Media.objects.filter(sha256=SHA["clip"]).update(derivatives={"peaks": {"seconds": 2.5}})
    refused = submit(desk, "bob", ANSWERS)
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["speech"])
    assert "which lasts 2.5 s" in refused.json()["fields"]["speech"]
    again = api.post(path, body, idempotency_key="k")
    assert (again.status_code, again.json()["annotation"]) == (201, first.json()["annotation"])


def test_item_is_read_only_where_an_answer_points_into_it() -> None:
    reads: list[int] = []

    def read_parts() -> None:
        reads.append(1)

    compiled = compile_schema(SCHEMA)
    parse_answers(compiled, {"order": ANSWERS["order"], "why": "x"}, required=(), read_parts=read_parts)
    assert reads == []
    parse_answers(compiled, ANSWERS, read_parts=read_parts)
    assert reads == [1]


def test_agreement_is_measured_but_on_texts(disputed: Desk) -> None:
    api = Api(disputed.cast.enzo)
    for question in SCHEMA["questions"]:
        found = api.get(f"projects/forum/agreement?question={question['name']}&by=split").json()
        metrics = {metric["metric"]: metric for metric in found["metrics"]}
        assert tuple(metrics) == MARK_METRICS.get(question["kind"], ("raw_agreement",))
        # Unitized alpha rests on nothing where a recording was not measured.
        told = [m for m in found["metrics"] if m["metric"] not in UNITIZED]
        assert {(m["n_items"], m["n_labels"], m["n_annotators"]) for m in told} == {(1, 2, 2)}
        refusals = [{metric["refusal"] for metric in one["metrics"]} for one in found["strata"]]
        assert refusals == [{"1 item has two labels; 10 needed"}] * (question["kind"] in MARK_METRICS)
    assert metrics["raw_agreement"]["refusal"] == "agreement on text is not measured"
    page = Api(None)
    page.client.force_login(disputed.cast.olga)
    assert page.client.get("/p/forum/").status_code == 200


def test_reviewer_decides_over_the_api(disputed: Desk) -> None:
    api, path = Api(disputed.cast.rita), f"projects/forum/items/{disputed.item('t-1').pk}/adjudication"
    found = resolutions(disputed)
    assert {name: row["state"] for name, row in found.items()} == {
        "marks": "disputed",
        "faces": "agreed",
        "speech": "open",
        "order": "disputed",
        "why": "agreed",
    }
    assert found["faces"]["value"] == ANSWERS["faces"]  # the first, by its place, of the two that are near
    body: dict[str, Any] = {"answers": {"marks": [], "order": [["b"], ["a", "c"]]}, "reason": "ambiguous"}
    far = [{"part": "body", "start": 0, "end": 99, "label": "slur"}]
    refused = api.post(path, {**body, "answers": {**body["answers"], "marks": far}})
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["marks"])
    decided = api.post(path, body)
    assert decided.status_code == 201
    assert decided.json()["answers"] == body["answers"]
    assert Adjudication.objects.get().answers == {"1": {"data": []}, "4": {"data": [[2], [1, 3]]}}
    after = resolutions(disputed)
    assert (after["marks"]["value"], after["marks"]["state"]) == ([], "adjudicated")
    assert after["faces"]["value"] == ANSWERS["faces"]


def test_text_of_a_reviewer_lies_apart_from_the_decision_and_is_erased_with_the_item(disputed: Desk) -> None:
    body = {"answers": {"marks": [], "order": [["a"], ["b"], ["c"]], "why": "house rule"}, "reason": "other"}
    api, item = Api(disputed.cast.rita), disputed.item("t-1")
    decided = api.post(f"projects/forum/items/{item.pk}/adjudication", body)
    assert decided.json()["answers"]["why"] == "house rule"
    adjudication, note = Adjudication.objects.get(), AdjudicationNote.objects.get()
    assert (note.text, note.answers) == ("", {"5": "house rule"})
    commitment = commit_answer(5, "house rule", bytes(note.salt)).hex()
    assert adjudication.answers["5"] == {"text_commitment": commitment}
    assert erase_notes(item_ids=[item.pk]) == 1


def test_open_item_can_be_decided_before_any_vote_rule(desk: Desk) -> None:
    submit(desk, "alice", ANSWERS)
    body = {"answers": {name: ANSWERS[name] for name in ("marks", "faces", "order")}, "reason": "other"}
    api = Api(desk.cast.rita)
    assert api.post(f"projects/forum/items/{desk.item('t-1').pk}/adjudication", body).status_code == 201
    row = Resolution.objects.get(question=1)
    assert (row.state, row.votes, row.n_votes, row.disagreement) == (Resolution.State.ADJUDICATED, {}, 1, 0.0)


def test_own_history_tells_every_answer_and_keeps_it_to_answer_again(desk: Desk) -> None:
    submit(desk, "alice", ANSWERS)
    (one,) = newest_answers(desk.project, desk.cast.alice)
    assert one.draft["answers"] == ANSWERS
    assert [told["text"] for told in one.told] == [
        "Slur 2–5",
        "1 × face",
        "speech 1.25 to 3.5 s",
        "a > b = c",
        ANSWERS["why"],
    ]
    quarantine_item(item=desk.item("t-1"), actor=desk.cast.olga)
    (sealed,) = newest_answers(desk.project, desk.cast.alice)
    assert "why" not in sealed.draft["answers"]


# Import


def test_imported_answers_of_every_kind_are_stored_and_vote(make_desk: MakeDesk) -> None:
    said = [{"annotator": name, "answers": ANSWERS} for name in ("x", "y")]
    desk = make_project(make_desk, annotations=said, gold={"marks": [], "why": "known"})
    assert {name: row["value"] for name, row in resolutions(desk).items()} == {**ANSWERS, "why": None}
    assert [text.answers for text in AnnotationText.objects.all()] == [{"5": ANSWERS["why"]}] * 2
    for label in Label.objects.filter(question=5):
        salt = bytes(label.annotation.text.salt)
        assert bytes(label.text_commitment or b"") == commit_answer(5, ANSWERS["why"], salt)
    assert desk.item("t-1").gold == {"1": {"data": []}, "5": {"text": "known"}}


def test_imported_answer_that_points_past_its_text_rejects_the_row() -> None:
    wrong = {**ANSWERS, "marks": [{"part": "body", "start": 0, "end": 99, "label": "slur"}]}
    compiled = compile_schema(SCHEMA)
    with pytest.raises(RowError, match=r"Annotation 1: marks: Span 1: its `end` is 99, past the end"):
        parse_row({"parts": PARTS, "annotations": [{"annotator": "x", "answers": wrong}]}, compiled)
    with pytest.raises(RowError, match=r"Gold: marks: Span 1"):
        parse_row({"parts": PARTS, "gold": {"marks": wrong["marks"]}}, compiled)


# The reviewers' page


def open_dispute(desk: Desk) -> tuple[Api, str, str]:
    api = Api(None)
    api.client.force_login(desk.cast.rita)
    path = f"/p/forum/disputes/{desk.item('t-1').pk}/"
    return api, path, api.client.get(path).content.decode()


def test_page_shows_each_answer_drawn(disputed: Desk) -> None:
    _api, _path, html = open_dispute(disputed)
    assert re.search(
        '<mark class="span is-split">\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}</mark>'
        r'<span class="span-label is-split">Slur <span class="standing">1 of 2</span>',
        html,
    )
    assert "b &amp; &lt;b&gt;" in html  # content is never markup
    assert 'viewBox="0 0 200 100"' in html
    assert '<rect x="20.00" y="20.00" width="60.00" height="40.00"/>' in html
    assert "0:01.25 – 0:03.5" in html
    assert re.search(r"<ol class=\"drawn-order\"><li>a</li><li>b = c</li></ol>", html)
    assert "zwei Zeilen" in html
    assert "style=" not in html


def test_page_of_a_sealed_item_shows_no_content_and_no_text(disputed: Desk) -> None:
    quarantine_item(item=disputed.item("t-1"), actor=disputed.cast.olga)
    html = open_dispute(disputed)[2]
    assert "Slur 2–5" in html
    for hidden in ("zwei Zeilen", '<mark class="span', "drawn-image", SHA["photo"]):
        assert hidden not in html


def test_list_of_disputes_tells_the_answers_in_words(disputed: Desk) -> None:
    api, _path, _html = open_dispute(disputed)
    html = api.client.get("/p/forum/disputes/").content.decode()
    assert "Slur 2–5" in html
    assert "name 2–6" in html


def test_reviewer_takes_one_persons_answer_as_it_is(disputed: Desk) -> None:
    api, path, html = open_dispute(disputed)
    fields = dict(re.findall(r'name="answer-(\w+)" value="(\w+)"', html))
    assert set(fields) == {"marks", "order"}  # the others are settled
    bobs = str(Annotation.objects.get(person=disputed.cast.bob).pk)
    version = re.search(r'name="expected_version" value="(\d+)"', html)
    assert version is not None
    sent = {"reason": "ambiguous", "expected_version": version[1], "answer-marks": bobs}
    missing = api.client.post(path, sent)
    assert missing.status_code == 422
    assert "This question needs an answer." in missing.content.decode()
    assert re.search(rf'value="{bobs}" checked', missing.content.decode())
    wrong = api.client.post(path, {**sent, "answer-order": "999999"})
    assert wrong.status_code == 422
    assert api.client.post(path, {**sent, "answer-order": bobs}).status_code == 302
    found = resolutions(disputed)
    assert (found["marks"]["value"], found["order"]["value"]) == (OTHERS["marks"], OTHERS["order"])
    # Decided again, what was accepted is chosen already, and a text can be written.
    again = open_dispute(disputed)[2]
    assert re.search(rf'name="answer-marks" value="{bobs}" checked', again)
    assert '<textarea name="answer-why"' in again


def test_marks_that_are_agreed_on_are_told_apart_and_can_be_taken(desk: Desk) -> None:
    common, own = ANSWERS["marks"][0], {"part": "body", "start": 0, "end": 1, "label": "name"}
    box = ANSWERS["faces"][0]
    submit(desk, "alice", {**ANSWERS, "marks": [common, own], "faces": [box, {**box, "x": 0.6}]})
    assert submit(desk, "bob", {**ANSWERS, "marks": [common, {**own, "end": 2}]}).json()["item_state"] == "disputed"
    api, path, html = open_dispute(desk)
    assert html.count('<span class="span-label">Slur</span>') == 2
    assert html.count('<span class="span-label is-split">name <span class="standing">1 of 2</span></span>') == 2
    assert html.count('<rect class="is-split"') == 1
    assert "Not agreed on" in html
    assert re.search(r'value="agreed".*?what is agreed on<br><span class="quiet small">Slur 2–5</span>', html)
    sent = {"reason": "other", "expected_version": "1", "answer-marks": "agreed", "answer-faces": "agreed"}
    assert api.client.post(path, sent).status_code == 302
    assert resolutions(desk)["marks"]["value"] == [common]


def test_reviewer_can_say_that_there_is_nothing_to_mark(disputed: Desk) -> None:
    api, path, html = open_dispute(disputed)
    assert 'name="answer-marks" value="nothing"' in html
    bobs = str(Annotation.objects.get(person=disputed.cast.bob).pk)
    sent = {"reason": "other", "expected_version": "1", "answer-marks": "nothing", "answer-order": bobs}
    assert api.client.post(path, sent).status_code == 302
    assert resolutions(disputed)["marks"]["value"] == []


def test_decision_of_the_api_that_nobody_gave_is_kept_by_the_page(disputed: Desk) -> None:
    api, path, _html = open_dispute(disputed)
    decided = {"marks": [], "order": [["b"], ["a"], ["c"]]}
    where = f"projects/forum/items/{disputed.item('t-1').pk}/adjudication"
    Api(disputed.cast.rita).post(where, {"answers": decided, "reason": "other"})
    html = api.client.get(path).content.decode()
    assert re.search(r'name="answer-order" value="accepted" checked', html)
    sent = {"reason": "other", "expected_version": "2", "answer-order": "accepted", "answer-why": "one\r\ntwo"}
    assert api.client.post(path, sent).status_code == 302
    assert resolutions(disputed)["order"]["value"] == decided["order"]
    assert AdjudicationNote.objects.get().answers == {"5": "one\ntwo"}


# Snapshots


def test_snapshot_holds_the_answers_in_their_shapes(disputed: Desk, settings: Any, tmp_path: Path) -> None:
    settings.SNAPSHOT_DIR = tmp_path
    body = {"answers": {"marks": ANSWERS["marks"], "order": ANSWERS["order"], "why": "ruling"}, "reason": "other"}
    Api(disputed.cast.rita).post(f"projects/forum/items/{disputed.item('t-1').pk}/adjudication", body)
    folder = publish(disputed)
    (row,) = [json.loads(line) for line in (folder / "labels.jsonl").read_text("utf-8").splitlines()]
    assert {name: row[name] for name in ("marks", "faces", "speech", "order")} == {
        name: ANSWERS[name] for name in ("marks", "faces", "order")
    } | {"speech": None}
    assert "why" not in row
    (stored,) = pq.read_table(folder / "labels.parquet").to_pylist()
    assert {name: stored[name] for name in ("marks", "faces", "order")} == {
        name: ANSWERS[name] for name in ("marks", "faces", "order")
    }
    annotations = pq.read_table(folder / "annotations.parquet").to_pylist()
    assert [one["speech"] for one in annotations] == [ANSWERS["speech"], OTHERS["speech"]]
    assert [one["order"] for one in annotations] == [ANSWERS["order"], OTHERS["order"]]
    (item,) = pq.read_table(folder / "items.parquet").to_pylist()
    ids = [one["annotation_id"] for one in annotations]
    assert item["texts"] == [
        {"question": "why", "annotation_id": ids[0], "text": ANSWERS["why"]},
        {"question": "why", "annotation_id": ids[1], "text": OTHERS["why"]},
        {"question": "why", "annotation_id": None, "text": "ruling"},
    ]
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["counts"]["labels"] == {"marks": {"slur": 1}, "faces": {"face": 1}, "order": {"a": 1}}
    assert [one["columns"] for one in manifest["questions"] if one["name"] == "why"] == [{}]
    assert verify.find_faults(str(folder)) == []
    api = Api(None)
    api.client.force_login(disputed.cast.enzo)
    page = api.client.get(f"/p/forum/snapshots/{manifest['version']}/")
    assert page.status_code == 200
    assert "Slur" in page.content.decode()
    assert ANSWERS["why"] not in page.content.decode()
