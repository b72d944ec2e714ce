"""Snapshots: what is frozen, what the files say, that the same one is the same bytes, that no reader sees a part."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pyarrow.parquet as pq
import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from PIL import Image

from annotation import queue
from annotation.actions.events import write_event
from annotation.actions.items import erase_items, quarantine_item
from annotation.actions.jobs import claim_job, fail_job
from annotation.actions.media import add_media
from annotation.actions.people import ensure_outside_person
from annotation.errors import InvalidError, StateError, UndoTooLateError
from annotation.jobs import JobLostError, RunningJob, run_job
from annotation.media import media_path
from annotation.models import Event, Item, Job, Member, Project, User
from config.home import ROOT
from learning.actions.snapshots import freeze_members, publish_snapshot, start_snapshot
from learning.models import Snapshot, SnapshotMember
from learning.snapshots import verify
from learning.snapshots.canonical import to_canonical
from learning.snapshots.documents import MEDIA_TYPES
from learning.snapshots.files import build_files, published_folder, temporary_folder
from learning.snapshots.merkle import MerkleTree, hash_leaf
from learning.snapshots.schedule import count_new, is_due
from learning.tasks.schedules import run_schedules
from learning.tasks.snapshots import run_snapshot, run_withdrawal
from reviewers.actions.adjudication import adjudicate
from reviewers.models import Resolution
from tests.cast import Desk, MakeDesk, import_rows

TWO_QUESTIONS: dict[str, Any] = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "required": True,
            "choices": [{"value": "none"}, {"value": "spam"}, {"value": "Schmäh | *x*"}],
        },
        {"name": "split", "kind": "choices", "choices": [{"value": "a"}, {"value": "b"}]},
        {"name": "grade", "kind": "rating", "min": 1, "max": 5},
    ]
}


@pytest.fixture(autouse=True)
def snapshot_folder(tmp_path: Path, settings: Any) -> Path:
    """A folder of its own for each test: project numbers come again."""
    settings.SNAPSHOT_DIR = tmp_path / "snapshots"
    return tmp_path / "snapshots"


def attempt(job: Job) -> RunningJob:
    """The next attempt at a job, as a worker makes it."""
    claimed = claim_job(job_id=job.pk, worker="test", stale_seconds=0)
    assert claimed is not None
    return RunningJob(claimed)


def publish(desk: Desk, query: dict[str, Any] | None = None) -> Snapshot:
    """Ask for a snapshot and carry out the job."""
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo, query=query)
    run_snapshot(attempt(job))
    return Snapshot.objects.get(job=job)


def label_rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The rows of labels.jsonl."""
    return [json.loads(line) for line in (published_folder(snapshot) / "labels.jsonl").read_bytes().splitlines()]


def read_rows(snapshot: Snapshot, name: str) -> list[dict[str, Any]]:
    """The rows of a Parquet file."""
    rows: list[dict[str, Any]] = pq.read_table(published_folder(snapshot) / name).to_pylist()
    return rows


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Four items, three of them settled by two votes: spam, none, none; the last one has one vote."""
    desk = make_desk(n=4, overlap=2)
    desk.vote("t-1", alice="spam", bob="spam")
    desk.vote("t-2", alice="none", bob="none")
    desk.vote("t-3", alice="none", carol="none")
    desk.vote("t-4", alice="none")
    return desk


# What is frozen


@pytest.mark.django_db
def test_a_snapshot_holds_the_accepted_labels_and_no_others(desk: Desk) -> None:
    snapshot = publish(desk)
    rows = label_rows(snapshot)
    assert {row["external_id"]: row["verdict"] for row in rows} == {"t-1": "spam", "t-2": "none", "t-3": "none"}
    assert [int(row["item_id"]) for row in rows] == sorted(int(row["item_id"]) for row in rows)
    assert {row["n_annotations"] for row in rows} == {2}
    assert {row["verdict.confidence"] for row in rows} == {1.0}
    assert {row["verdict.source"] for row in rows} == {"vote"}
    assert rows[0]["commitment"] == bytes(Item.objects.get(pk=rows[0]["item_id"]).commitment).hex()
    assert rows == read_rows(snapshot, "labels.parquet")


@pytest.mark.django_db
def test_versions_count_up_and_latest_is_not_touched_by_the_next(desk: Desk) -> None:
    first = publish(desk)
    desk.vote("t-4", bob="none")
    second = publish(desk)
    assert [first.version, second.version] == ["1.0.0", "1.1.0"]
    assert len(label_rows(first)) == 3
    assert len(label_rows(second)) == 4


@pytest.mark.django_db
def test_members_carry_version_and_annotations_and_refuse_change(desk: Desk) -> None:
    publish(desk)
    member = SnapshotMember.objects.get(item=desk.item("t-1"))
    resolution = Resolution.objects.get(item=desk.item("t-1"))
    assert (member.choice, member.resolution_version) == (resolution.choice, resolution.version)
    submitted = desk.row("t-1").seats.order_by("annotation_id").values_list("annotation_id", flat=True)
    assert member.annotations == list(submitted)
    with pytest.raises(Exception, match="never changed or deleted"), transaction.atomic():
        SnapshotMember.objects.filter(pk=member.pk).update(choice=1)


@pytest.mark.django_db
def test_an_answer_that_a_snapshot_used_cannot_be_taken_back(desk: Desk) -> None:
    publish(desk)
    annotation = SnapshotMember.objects.get(item=desk.item("t-1")).annotations[0]
    with pytest.raises(UndoTooLateError):
        queue.undo(annotation_id=annotation, person_id=desk.cast.alice.pk)


@pytest.mark.django_db(transaction=True)
def test_an_undo_waits_for_the_freeze_and_comes_too_late(desk: Desk) -> None:
    annotation = desk.row("t-1").seats.get(person=desk.cast.alice).annotation_id
    assert annotation is not None
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            snapshot = freeze_members(project=desk.project, query={}, job=None, actor=None)
            undo = pool.submit(in_own_connection, queue.undo, annotation_id=annotation, person_id=desk.cast.alice.pk)
            with pytest.raises(TimeoutError):
                undo.result(0.3)
        with pytest.raises(UndoTooLateError):
            undo.result(10)
    assert snapshot.n_items == 3


@pytest.mark.django_db(transaction=True)
def test_a_freeze_waits_for_an_undo_and_leaves_the_item_out(desk: Desk) -> None:
    annotation = desk.row("t-1").seats.get(person=desk.cast.alice).annotation_id
    assert annotation is not None
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            queue.undo(annotation_id=annotation, person_id=desk.cast.alice.pk)
            freeze = pool.submit(
                in_own_connection, freeze_members, project=desk.project, query={}, job=None, actor=None
            )
            with pytest.raises(TimeoutError):
                freeze.result(0.3)
        snapshot = freeze.result(10)
    assert snapshot.n_items == 2
    assert not SnapshotMember.objects.filter(item=desk.item("t-1")).exists()


def in_own_connection(call: Callable[..., Any], **arguments: Any) -> Any:
    """Call something in a thread and close the connection that it opened."""
    try:
        return call(**arguments)
    finally:
        connection.close()


@pytest.mark.django_db
def test_a_reviewers_decision_is_marked_and_can_be_asked_for_alone(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=2)
    desk.vote("t-1", alice="spam", bob="none")
    desk.vote("t-2", alice="none", bob="none")
    adjudicate(access=desk.access("rita"), item=desk.item("t-1"), answers={"verdict": "insult"}, reason="ambiguous")
    (row,) = label_rows(publish(desk, {"states": ["adjudicated"]}))
    assert (row["external_id"], row["verdict"], row["n_annotations"]) == ("t-1", "insult", 2)
    assert (row["verdict.source"], row["verdict.confidence"]) == ("adjudication", None)
    assert len(label_rows(publish(desk))) == 2


@pytest.mark.django_db
def test_weak_majorities_can_be_left_out_and_decisions_stay(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3, overlap=3)
    desk.vote("t-1", alice="spam", bob="spam", carol="none")
    desk.vote("t-2", alice="none", bob="none", carol="none")
    desk.vote("t-3", alice="none", bob="spam", carol="insult")
    adjudicate(access=desk.access("rita"), item=desk.item("t-3"), answers={"verdict": "spam"}, reason="ambiguous")
    rows = label_rows(publish(desk, {"min_confidence": 0.9}))
    assert sorted(row["external_id"] for row in rows) == ["t-2", "t-3"]


@pytest.mark.django_db
def test_an_item_that_is_not_open_any_more_is_left_out(desk: Desk) -> None:
    quarantine_item(item=desk.item("t-2"), actor=desk.cast.rita)
    erase_items(project=desk.project, item_ids=[desk.item("t-3").pk], actor=desk.cast.olga, reason="asked")
    assert [row["external_id"] for row in label_rows(publish(desk))] == ["t-1"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"states": ["agreed"]}, ["t-1", "t-2", "t-3"]),
        ({"min_confidence": 1}, ["t-1", "t-2", "t-3"]),
        ({"questions": ["verdict"]}, ["t-1", "t-2", "t-3"]),
    ],
)
def test_a_query_is_kept_and_obeyed(desk: Desk, query: dict[str, Any], expected: list[str]) -> None:
    snapshot = publish(desk, query)
    assert sorted(row["external_id"] for row in label_rows(snapshot)) == expected
    assert snapshot.manifest is not None
    assert snapshot.manifest["query"] == query


@pytest.mark.django_db
@pytest.mark.parametrize("split", ["pool", "holdout"])
def test_a_query_for_one_split_gives_that_split(desk: Desk, split: str) -> None:
    Item.objects.filter(project=desk.project).update(split=Item.Split.POOL)
    Item.objects.filter(project=desk.project, external_id="t-2").update(split=Item.Split.HOLDOUT)
    rows = label_rows(publish(desk, {"split": split}))
    assert {row["split"] for row in rows} == {split}
    assert {row["external_id"] for row in rows} == {"pool": {"t-1", "t-3"}, "holdout": {"t-2"}}[split]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"states": ["open"]}, "states"),
        ({"states": []}, "states"),
        ({"questions": ["nothing"]}, "questions"),
        ({"split": "train"}, "split"),
        ({"min_confidence": 1.5}, "min_confidence"),
        ({"min_confidence": True}, "min_confidence"),
        (["states"], "query"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_by_name(desk: Desk, query: Any, field: str) -> None:
    with pytest.raises(InvalidError) as caught:
        start_snapshot(project=desk.project, actor=desk.cast.enzo, query=query)
    assert list(caught.value.fields) == [field]
    assert not Job.objects.filter(kind="snapshot").exists()


@pytest.mark.django_db
def test_nothing_accepted_is_a_failure_with_a_reason_and_takes_no_version(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2)
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo)
    with pytest.raises(StateError, match="no accepted label"):
        run_snapshot(attempt(job))
    assert not Snapshot.objects.exists()


# What the files say


@pytest.mark.django_db
def test_every_kind_of_answer_is_spelled_as_the_schema_has_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, schema=TWO_QUESTIONS)
    desk.label("alice", {"verdict": "Schmäh | *x*", "split": ["b", "a"], "grade": 4})
    snapshot = publish(desk)
    (row,) = label_rows(snapshot)
    assert (row["verdict"], row["split.value"], row["grade"]) == ("Schmäh | *x*", ["a", "b"], 4)
    assert row["split"] in {"pool", "holdout"}
    assert read_rows(snapshot, "labels.parquet") == [row]
    (annotation,) = read_rows(snapshot, "annotations.parquet")
    assert (annotation["verdict"], annotation["split.value"], annotation["grade"]) == ("Schmäh | *x*", ["a", "b"], 4)
    assert "Schmäh \\| \\*x\\*" in (published_folder(snapshot) / "card.md").read_text("utf-8")


@pytest.mark.django_db
def test_annotators_stand_under_a_pseudonym_that_stays_theirs(desk: Desk) -> None:
    first, second = publish(desk), publish(desk)
    rows = read_rows(first, "annotations.parquet")
    assert len({row["annotator"] for row in rows}) == 3
    assert rows == read_rows(second, "annotations.parquet")
    told = b"".join(path.read_bytes() for path in published_folder(first).iterdir())
    assert not any(user.username.encode() in told for user in [desk.cast.alice, desk.cast.bob, desk.cast.carol])


@pytest.mark.django_db
def test_simulated_work_is_marked_and_counted(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    robot = ensure_outside_person(project=desk.project, name="robot", kind=User.Kind.SIMULATED)
    Member.objects.create(project=desk.project, user=robot, role="annotator")
    object.__setattr__(desk.cast, "robot", robot)
    desk.label("robot", "spam")
    snapshot = publish(desk)
    assert [row["source"] for row in read_rows(snapshot, "annotations.parquet")] == ["simulated"]
    assert [row["n_simulated"] for row in label_rows(snapshot)] == [1]
    assert snapshot.manifest is not None
    assert snapshot.manifest["counts"]["simulated_annotations"] == 1


@pytest.mark.django_db
def test_content_is_in_its_own_file_and_fits_the_commitment(desk: Desk) -> None:
    snapshot = publish(desk)
    rows = read_rows(snapshot, "items.parquet")
    assert [row["parts"][0]["text"] for row in sorted(rows, key=lambda row: row["external_id"])] == [
        "text number 1",
        "text number 2",
        "text number 3",
    ]
    for row in rows:
        parts = [
            {"name": part["name"], "kind": part["kind"], "role": part["role"], "text": part["text"]}
            for part in row["parts"]
        ]
        content = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        assert hashlib.sha256(bytes.fromhex(row["salt"]) + content).hexdigest() == row["commitment"]
    others = set(MEDIA_TYPES) - {"items.parquet"}
    assert not any(b"text number" in (published_folder(snapshot) / name).read_bytes() for name in others)


@pytest.mark.django_db
def test_images_come_with_their_bytes_and_a_lost_file_is_counted(
    make_desk: MakeDesk, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_DIR = tmp_path / "media"
    desk = make_desk(n=1)
    out = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(out, "PNG")
    stored, _is_new = add_media(project=desk.project, source=io.BytesIO(out.getvalue()), actor=desk.cast.enzo)
    part = {"name": "photo", "kind": "image", "media": stored.sha256}
    answered = [{"annotator": "ann", "answers": {"verdict": "spam"}}]
    import_rows(desk.project, [{"external_id": "i-1", "parts": [part], "annotations": answered}])
    first = publish(desk)
    (row,) = read_rows(first, "items.parquet")
    assert row["parts"] == [
        {
            "name": "photo",
            "kind": "image",
            "role": "target",
            "text": None,
            "media": stored.sha256,
            "mime": "image/png",
            "bytes": out.getvalue(),
        }
    ]
    media_path(desk.project.pk, stored.sha256).unlink()
    second = publish(desk)
    assert read_rows(second, "items.parquet")[0]["parts"][0]["bytes"] is None
    assert [(one.manifest or {})["counts"]["missing_media"] for one in (first, second)] == [0, 1]


@pytest.mark.django_db
def test_the_manifest_lists_every_file_with_its_hash_and_the_row_has_its_root(desk: Desk) -> None:
    snapshot = publish(desk)
    folder = published_folder(snapshot)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest == snapshot.manifest
    assert {entry["path"] for entry in manifest["files"]} | {"manifest.json"} == {
        path.name for path in folder.iterdir()
    }
    for entry in manifest["files"]:
        content = (folder / entry["path"]).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    tree = MerkleTree()
    for line in (folder / "labels.jsonl").read_bytes().splitlines():
        tree.append(line)
    assert snapshot.root == manifest["merkle_root"] == tree.root().hex()
    counts = manifest["counts"]
    assert (counts["items"], counts["annotations"], counts["annotators"]) == (3, 6, 3)
    assert counts["labels"] == {"verdict": {"none": 2, "spam": 1}}
    assert (manifest["project"], manifest["version"], manifest["schema_version"]) == ("forum", "1.0.0", 1)


@pytest.mark.django_db
def test_croissant_describes_each_table_by_its_hash_and_columns(desk: Desk) -> None:
    snapshot = publish(desk)
    folder = published_folder(snapshot)
    croissant = json.loads((folder / "croissant.json").read_bytes())
    assert croissant["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert croissant["version"] == "1.0.0"
    for described in croissant["distribution"]:
        content = (folder / described["contentUrl"]).read_bytes()
        assert described["sha256"] == hashlib.sha256(content).hexdigest()
    ids = {record["@id"] for table in croissant["recordSet"] for record in table["field"]}
    assert {"labels/verdict", "labels/verdict.confidence", "annotations/annotator", "items/salt"} <= ids


# One form, one root


def test_canonical_json_is_sorted_compact_and_refuses_what_json_lacks() -> None:
    assert to_canonical({"b": [0.1, 1e22], "a": "é"}) == b'{"a":"\xc3\xa9","b":[0.1,1e+22]}'
    with pytest.raises(ValueError, match="Out of range"):
        to_canonical({"a": float("nan")})
    with pytest.raises(ValueError, match="must be text"):
        to_canonical([{1: 2}])


@pytest.mark.parametrize(
    ("n", "root"),
    [
        # Test vectors of Certificate Transparency's reference implementation (merkle_tree_test.cc): RFC 6962's tree.
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_the_root_is_that_of_rfc_6962_by_both_implementations(n: int, root: str) -> None:
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    entries = [bytes.fromhex(leaf) for leaf in leaves[:n]]
    tree = MerkleTree()
    assert [tree.append(entry) for entry in entries] == [hash_leaf(entry) for entry in entries]
    assert tree.root().hex() == root
    assert verify.compute_root(entries) == (root, n)


# Verification


def flip_bit(path: Path, bit: int) -> None:
    """Turn one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.django_db
def test_each_flipped_bit_is_found_and_its_file_named(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(published_folder(publish(desk)), folder)
    assert verify.find_faults(str(folder)) == []
    rng = random.Random(6962)
    for name in sorted(MEDIA_TYPES):
        for _time in range(40):
            bit = rng.randrange(8 * (folder / name).stat().st_size)
            flip_bit(folder / name, bit)
            assert name in {found for found, _fault in verify.find_faults(str(folder))}, (name, bit)
            flip_bit(folder / name, bit)
    assert verify.find_faults(str(folder)) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: [rows[0], rows[1].replace(b'"vote"', b'"veto"'), rows[2]], "row 2 is not the one"),
        (lambda rows: rows[:2], "row 3 is missing"),
        (lambda rows: [*rows, rows[0]], "row 4 was added"),
        (lambda rows: [rows[0], rows[2], rows[1]], "row 2 is not the one"),
    ],
)
def test_a_changed_dropped_added_or_moved_row_is_named(
    desk: Desk, tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], sentence: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(published_folder(publish(desk)), folder)
    lines = (folder / "labels.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "labels.jsonl").write_bytes(b"".join(change(lines)))
    told = [fault for name, fault in verify.find_faults(str(folder)) if name == "labels.jsonl"]
    assert any(sentence in fault for fault in told)


@pytest.mark.django_db
def test_the_script_that_travels_with_the_files_runs_alone(desk: Desk, tmp_path: Path) -> None:
    snapshot = publish(desk)
    folder = tmp_path / "elsewhere"
    shutil.copytree(published_folder(snapshot), folder)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", str(folder / "verify.py"), *arguments]
        return subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True)

    assert (run().returncode, run().stdout) == (0, "All files are as published.\n")
    assert run(str(folder), "--root", snapshot.root).returncode == 0
    assert run("--root", "0" * 64).returncode == 1
    assert run(str(tmp_path / "nowhere")).returncode == 2
    flip_bit(folder / "annotations.parquet", 4321)
    told = run()
    assert (told.returncode, told.stdout) == (1, "annotations.parquet: has other bytes than were published\n")


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/b", "", ".hidden", "manifest.json"])
def test_a_manifest_that_leaves_its_folder_is_refused(path: str) -> None:
    manifest = {"files": [{"path": path, "size": 1, "sha256": "0" * 64}]}
    with pytest.raises(ValueError, match="outside the folder"):
        verify.read_manifest(json.dumps(manifest).encode())


# The same snapshot, the same bytes

BUILD = """
import locale, sys
locale.setlocale(locale.LC_ALL, "")
import django
django.setup()
from pathlib import Path
from learning.models import Snapshot
from learning.snapshots.files import build_files
snapshot = Snapshot.objects.select_related("project").get(pk=int(sys.argv[1]))
folder = Path(sys.argv[2])
folder.mkdir()
build_files(snapshot, folder, lambda done, total: None)
"""

RUN = """
import sys
import django
django.setup()
from django.conf import settings
from annotation.jobs import run_job
from learning.snapshots import rows
from learning.tasks import snapshots
settings.SNAPSHOT_DIR = sys.argv[2]
rows.BATCH = rows.CONTENT_BATCH = 1  # many short steps, so that the kill comes between two
run_job(int(sys.argv[1]))
"""


def own_process(script: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start a script on the test database, in a process group of its own."""
    parameters = connection.get_connection_params()
    where = {name: parameters[name] for name in ("host", "port") if parameters.get(name)}
    who = quote(parameters["user"]) + (f":{quote(parameters['password'])}" if parameters.get("password") else "")
    url = f"postgres://{who}@/{parameters['dbname']}?{urlencode(where)}"
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": url, **environment},
        cwd=ROOT,
        start_new_session=True,
    )


@pytest.mark.django_db(transaction=True)
def test_two_builds_under_other_settings_of_the_machine_are_the_same_bytes(desk: Desk, tmp_path: Path) -> None:
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo)
    run_job(job.pk)
    snapshot = Snapshot.objects.get(job=job)
    frozen = {
        "schema": desk.project.schema_id,
        "schema_version": 1,
        "guideline_version": None,
        "rule": desk.project.rule,
        "questions": [1],
    }
    Snapshot.objects.filter(pk=snapshot.pk).update(manifest=frozen)
    builds = [
        own_process(BUILD, str(snapshot.pk), str(tmp_path / "a"), TZ="Asia/Kathmandu", LC_ALL="C", PYTHONHASHSEED="1"),
        own_process(
            BUILD, str(snapshot.pk), str(tmp_path / "b"), TZ="America/St_Johns", LC_ALL="C.UTF-8", PYTHONHASHSEED="2"
        ),
    ]
    assert [build.wait(60) for build in builds] == [0, 0]
    for name in MEDIA_TYPES:
        published = (published_folder(snapshot) / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() == published, name
        assert (tmp_path / "b" / name).read_bytes() == published, name


# Old or new, never part


class Killed(BaseException):
    """The process ends here."""


def dying(real: Callable[..., Any], after: int) -> Callable[..., Any]:
    """A stand-in for a function that works `after` times; at the next call the process ends."""
    calls = iter(range(after))

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls, None) is None:
            raise Killed
        return real(*args, **kwargs)

    return call


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fail_point", "real", "after"),
    [
        ("learning.snapshots.files.os.fsync", os.fsync, 0),  # everything written, nothing on disk for sure
        ("learning.snapshots.files.os.rename", os.rename, 0),  # before the rename
        ("learning.snapshots.files.os.fsync", os.fsync, len(MEDIA_TYPES) + 1),  # after the rename, before the flip
        ("learning.actions.snapshots.write_event", write_event, 1),  # after the flip, before the commit
    ],
)
def test_a_death_while_publishing_leaves_the_old_version_and_the_next_attempt_brings_the_new(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fail_point: str, real: Callable[..., Any], after: int
) -> None:
    old = publish(desk)
    desk.vote("t-4", bob="none")
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo)
    running = attempt(job)
    with monkeypatch.context() as patch:
        patch.setattr(fail_point, dying(real, after))
        with pytest.raises(Killed):
            run_snapshot(running)
    assert [shown.version for shown in Snapshot.objects.filter(state="published")] == ["1.0.0"]
    assert verify.find_faults(str(published_folder(old)), old.root) == []

    run_snapshot(attempt(job))
    new = Snapshot.objects.get(job=job)
    assert (new.state, new.version, len(label_rows(new))) == ("published", "1.1.0", 4)
    assert verify.find_faults(str(published_folder(new)), new.root) == []
    assert sorted(path.name for path in published_folder(new).parent.iterdir()) == ["1.0.0", "1.1.0"]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_writes_leaves_no_part_and_the_next_one_finishes(
    make_desk: MakeDesk, snapshot_folder: Path
) -> None:
    answered = [{"annotator": "ann", "answers": {"verdict": "spam"}}]
    desk = make_desk(rows=[{"external_id": f"t-{i}", "text": f"text {i}", "annotations": answered} for i in range(300)])
    old = publish(desk)
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo)
    base = published_folder(old).parent
    process = own_process(RUN, str(job.pk), str(snapshot_folder))
    try:
        deadline = time.monotonic() + 60
        while not list(base.glob(".building-*/labels.jsonl")):
            assert time.monotonic() < deadline, "the worker did not begin to write within 60 s"
            time.sleep(0.001)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    assert Snapshot.objects.get(job=job).state == "building"
    assert [path.name for path in base.iterdir() if not path.name.startswith(".")] == ["1.0.0"]
    assert verify.find_faults(str(published_folder(old)), old.root) == []

    run_job(job.pk, stale_seconds=0)
    job.refresh_from_db()
    assert (job.state, job.result) == ("done", {"version": "1.1.0"})
    new = Snapshot.objects.get(job=job)
    assert verify.find_faults(str(published_folder(new)), new.root) == []
    assert sorted(path.name for path in base.iterdir()) == ["1.0.0", "1.1.0"]


@pytest.mark.django_db
def test_an_attempt_that_lost_its_job_publishes_nothing(desk: Desk) -> None:
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo)
    late = attempt(job)
    run_snapshot(attempt(job))
    with pytest.raises(JobLostError):
        run_snapshot(late)
    assert Snapshot.objects.get(job=job).state == "published"


@pytest.mark.django_db
def test_an_attempt_that_lost_its_job_while_it_wrote_publishes_nothing(desk: Desk) -> None:
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo)
    late = attempt(job)
    snapshot = freeze_members(project=desk.project, query={}, job=late.job, actor=None)
    folder = temporary_folder(snapshot)
    manifest = build_files(snapshot, folder, lambda done, total: None)
    attempt(job)
    with pytest.raises(JobLostError):
        publish_snapshot(snapshot=snapshot, folder=folder, manifest=manifest, check=late.check)
    assert not published_folder(snapshot).exists()
    assert Snapshot.objects.get(job=job).state == "building"


@pytest.mark.django_db
def test_a_build_whose_job_ended_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo)
    running = attempt(job)
    with monkeypatch.context() as patch:
        patch.setattr("learning.snapshots.files.os.rename", dying(os.rename, 0))
        with pytest.raises(Killed):
            run_snapshot(running)
    fail_job(job_id=job.pk, attempt=running.job.attempt, error="The worker was lost.")
    run_schedules()
    given_up = Snapshot.objects.get(job=job)
    assert given_up.state == "failed"
    assert list(published_folder(given_up).parent.iterdir()) == []


# Content that is withdrawn


@pytest.mark.django_db
def test_erased_content_leaves_published_files_and_the_root_still_holds(desk: Desk) -> None:
    snapshot = publish(desk)
    erase_items(project=desk.project, item_ids=[desk.item("t-1").pk], actor=desk.cast.olga, reason="asked")
    run_schedules()
    run_withdrawal(attempt(Job.objects.get(kind="snapshot.withdraw")))
    now = Snapshot.objects.get(pk=snapshot.pk)
    folder = published_folder(now)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert "text number 1" not in str(read_rows(now, "items.parquet"))
    assert len(read_rows(now, "items.parquet")) == 2
    assert (now.root, len(label_rows(now))) == (snapshot.root, 3)
    assert verify.find_faults(str(folder), snapshot.root) == []
    assert now.manifest is not None
    assert now.manifest["counts"]["withdrawn"] == 1
    run_schedules()
    assert Job.objects.filter(kind="snapshot.withdraw").count() == 1


@pytest.mark.django_db
def test_content_erased_between_the_freeze_and_the_writing_is_in_no_file(desk: Desk) -> None:
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo)
    running = attempt(job)
    freeze_members(project=desk.project, query={}, job=running.job, actor=None)
    quarantine_item(item=desk.item("t-1"), actor=desk.cast.rita)
    erase_items(project=desk.project, item_ids=[desk.item("t-2").pk], actor=desk.cast.olga, reason="asked")
    run_snapshot(running)
    snapshot = Snapshot.objects.get(job=job)
    assert [row["external_id"] for row in read_rows(snapshot, "items.parquet")] == ["t-3"]
    assert len(label_rows(snapshot)) == 3
    assert (snapshot.manifest or {})["counts"]["withdrawn"] == 2


# The schedule


@pytest.mark.django_db
def test_a_label_that_was_decided_anew_counts_as_new(desk: Desk) -> None:
    snapshot = publish(desk)
    assert count_new(desk.project, snapshot) == 0
    adjudicate(
        access=desk.access("rita"),
        item=desk.item("t-1"),
        answers={"verdict": "none"},
        reason="annotator_error",
        expected_version=Resolution.objects.get(item=desk.item("t-1")).version,
    )
    assert count_new(desk.project, snapshot) == 1


@pytest.mark.django_db
def test_a_number_of_new_resolutions_starts_a_snapshot_and_nothing_new_starts_none(desk: Desk) -> None:
    Project.objects.filter(pk=desk.project.pk).update(snapshots={"every_resolutions": 3})
    run_schedules()
    job = Job.objects.get(kind="snapshot")
    run_schedules()
    assert Job.objects.filter(kind="snapshot").count() == 1
    run_snapshot(attempt(job))
    desk.vote("t-4", bob="none")
    run_schedules()
    assert Job.objects.filter(kind="snapshot").count() == 1
    assert count_new(desk.project, Snapshot.objects.get(job=job)) == 1
    assert Event.objects.filter(kind="snapshot.requested", actor=None).count() == 1


@pytest.mark.django_db
def test_hours_start_a_snapshot_only_if_something_changed(desk: Desk) -> None:
    project = desk.project
    project.snapshots = {"every_hours": 6}
    assert is_due(project, timezone.now())
    publish(desk)
    assert not is_due(project, timezone.now() + timedelta(hours=7))
    desk.vote("t-4", bob="none")
    assert not is_due(project, timezone.now() + timedelta(hours=5))
    assert is_due(project, timezone.now() + timedelta(hours=7))


@pytest.mark.django_db
def test_a_schedule_waits_an_hour_after_a_failure(desk: Desk) -> None:
    project = desk.project
    project.snapshots = {"every_resolutions": 1}
    running = attempt(start_snapshot(project=project, actor=None))
    fail_job(job_id=running.job.pk, attempt=1, error="No.")
    assert not is_due(project, timezone.now())
    assert is_due(project, timezone.now() + timedelta(minutes=61))


# Over HTTP


@dataclass
class Answer:
    """What came back for a file, read to its end."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


def get_file(client: Client, version: str, name: str, **headers: str) -> Answer:
    """Download a file, or a part of it."""
    response: Any = client.get(f"/api/v1/projects/forum/snapshots/{version}/files/{name}", headers=headers)
    # Reading to the end closes the file; the test client sees to that.
    return Answer(response.status_code, response.headers, response.getvalue())


@pytest.mark.django_db
def test_an_engineer_asks_for_a_snapshot_and_reads_its_manifest(desk: Desk, client: Client) -> None:
    client.force_login(desk.cast.enzo)
    answer = client.post("/api/v1/projects/forum/snapshots", {"query": {"split": "pool"}}, "application/json")
    job = Job.objects.get(kind="snapshot")
    assert (answer.status_code, answer.json()) == (202, {"job": str(job.pk)})
    assert answer.headers["Location"] == f"/api/v1/jobs/{job.pk}"
    publish(desk)
    manifest = client.get("/api/v1/projects/forum/snapshots/latest").json()
    assert (manifest["version"], manifest["state"], manifest["counts"]["items"]) == ("1.0.0", "published", 3)
    listed = client.get("/api/v1/projects/forum/snapshots").json()
    assert [(one["version"], one["n_items"]) for one in listed["results"]] == [("1.0.0", 3)]
    assert listed["next"] is None


@pytest.mark.django_db
def test_lists_go_on_where_they_stopped(desk: Desk, client: Client) -> None:
    client.force_login(desk.cast.enzo)
    for _time in range(3):
        publish(desk)
    first = client.get("/api/v1/projects/forum/snapshots?limit=2").json()
    second = client.get(first["next"]).json()
    assert [one["version"] for one in first["results"] + second["results"]] == ["1.2.0", "1.1.0", "1.0.0"]
    assert second["next"] is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "field"), [({"query": {"colour": 1}}, "colour"), ({"kwery": {}}, "kwery"), ({"query": []}, "query")]
)
def test_a_wrong_body_is_refused_with_its_field(desk: Desk, client: Client, body: Any, field: str) -> None:
    client.force_login(desk.cast.enzo)
    answer = client.post("/api/v1/projects/forum/snapshots", body, "application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "status"), [("mallory", 404), ("alice", 403), ("rita", 403), ("enzo", 200), ("olga", 200)]
)
def test_who_may_download(desk: Desk, client: Client, name: str, status: int) -> None:
    publish(desk)
    client.force_login(desk.cast[name])
    assert client.get("/api/v1/projects/forum/snapshots").status_code == status
    assert client.get("/api/v1/projects/forum/snapshots/latest").status_code == status
    assert get_file(client, "1.0.0", "card.md").status_code == status


@pytest.mark.django_db
@pytest.mark.parametrize("name", list(MEDIA_TYPES))
def test_each_file_comes_whole_with_its_type_and_hash(desk: Desk, client: Client, name: str) -> None:
    snapshot = publish(desk)
    client.force_login(desk.cast.enzo)
    answer = get_file(client, "latest", name)
    content = answer.content
    assert content == (published_folder(snapshot) / name).read_bytes()
    assert answer.headers["Content-Type"] == MEDIA_TYPES[name]
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    again = get_file(client, "latest", name, if_none_match=answer.headers["ETag"])
    assert again.status_code == 304


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "status", "cut"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=5-", 206, slice(5, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=0-999999999", 206, slice(0, None)),
        ("bytes=9-3", 200, slice(0, None)),
        ("bytes=0-1,4-5", 200, slice(0, None)),
        ("items=0-5", 200, slice(0, None)),
    ],
)
def test_a_range_of_a_file(desk: Desk, client: Client, asked: str, status: int, cut: slice) -> None:
    content = (published_folder(publish(desk)) / "labels.jsonl").read_bytes()
    client.force_login(desk.cast.enzo)
    answer = get_file(client, "1.0.0", "labels.jsonl", range=asked)
    assert (answer.status_code, answer.content) == (status, content[cut])
    assert answer.headers["Content-Length"] == str(len(content[cut]))


@pytest.mark.django_db
def test_a_range_outside_the_file_is_416_and_of_other_bytes_is_not_resumed(desk: Desk, client: Client) -> None:
    size = (published_folder(publish(desk)) / "card.md").stat().st_size
    client.force_login(desk.cast.enzo)
    refused = get_file(client, "1.0.0", "card.md", range=f"bytes={size}-")
    assert (refused.status_code, refused.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert get_file(client, "1.0.0", "card.md", range="bytes=3-", if_range='"other"').status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("version", "name"),
    [("1.0.0", "secrets"), ("1.0.0", ".."), ("9.9.9", "card.md"), ("1.0", "card.md"), ("..", "card.md")],
)
def test_what_is_no_file_of_a_snapshot_is_absent(desk: Desk, client: Client, version: str, name: str) -> None:
    publish(desk)
    client.force_login(desk.cast.enzo)
    assert get_file(client, version, name).status_code == 404


@pytest.mark.django_db
def test_content_that_was_sealed_is_not_served_while_the_file_still_holds_it(desk: Desk, client: Client) -> None:
    publish(desk)
    client.force_login(desk.cast.enzo)
    quarantine_item(item=desk.item("t-1"), actor=desk.cast.rita)
    assert get_file(client, "1.0.0", "items.parquet").status_code == 409
    assert get_file(client, "1.0.0", "labels.parquet").status_code == 200
