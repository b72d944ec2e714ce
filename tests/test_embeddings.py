"""Given embeddings: sent or imported, a block of every model, gone with the item that they were made of."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from scipy import sparse

from annotation.actions.imports import load_items, vectors_path
from annotation.actions.items import erase_items, quarantine_item
from annotation.actions.media import add_media
from annotation.actions.people import create_token
from annotation.events import dispatch_events
from annotation.importing.rows import parse_row
from annotation.jobs import JobFailedError, run_job
from annotation.models import Item, Job
from annotation.vectors import VectorError, parse_vector
from learning.actions.embeddings import ensure_space, remove_space, start_embeddings, write_vectors
from learning.actions.features import start_features
from learning.algorithms import features as feature_code
from learning.algorithms.features import Features
from learning.features import shards as shard_files
from learning.features.embeddings import EmbeddingError, parse_embedding
from learning.features.stored import Shards, refresh_shards
from learning.models import Embedding, EmbeddingSpace, Round
from learning.questions import learnable_questions
from learning.scoring import fit_space
from learning.selection import ItemVectors, look_at
from learning.tasks import embeddings
from learning.tasks.embeddings import run_embeddings
from learning.tasks.features import run_features
from learning.tasks.rounds import run_round
from tests.cast import Desk, MakeDesk, import_rows
from tests.learning_rows import PLAIN, SPAM, add, ask, attempt, empty_desk, finish, names_in, play
from tests.media_files import make_wav
from tests.test_rounds import add_bars


@pytest.fixture
def desk(make_desk: MakeDesk, settings: Any, tmp_path: Path) -> Desk:
    settings.MODEL_DIR, settings.FEATURE_DIR = tmp_path / "models", tmp_path / "features"
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.UPLOAD_DIR.mkdir()
    return empty_desk(make_desk, learning={"every": None, "holdout_share": 0})


def spool(desk: Desk, lines: list[Any]) -> Job:
    from django.conf import settings

    path = Path(settings.UPLOAD_DIR) / "sent"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    return start_embeddings(project=desk.project, actor=desk.cast.enzo, path=path)


def send(desk: Desk, lines: list[Any]) -> dict[str, Any]:
    """Send lines and carry out the job; its result."""
    job = spool(desk, lines)
    run_embeddings(attempt(job))
    job.refresh_from_db()
    assert job.state == "done"
    return dict(job.result or {})


def name_of(item: int) -> str:
    return Item.objects.get(pk=item).external_id


def line(item: int, vector: Any, **more: Any) -> dict[str, Any]:
    return {"external_id": name_of(item), "vector": vector, **more}


def stored(desk: Desk) -> dict[int, list[float]]:
    rows = Embedding.objects.filter(space__project=desk.project).values_list("item_id", "vector")
    return {item: np.frombuffer(vector, "<f4").tolist() for item, vector in rows}


def seen(desk: Desk, items: list[int]) -> dict[str, list[list[float]]]:
    """What a model sees of the items in each block of given vectors."""
    shards = refresh_shards(desk.project, lambda: None)
    features = fit_space(shards, np.sort(items), np.random.default_rng(0))
    X = shards.vectorise(features, np.array(items))
    spans = {name: span for name, span in features.spans.items() if name.startswith("given:")}
    dense = np.asarray(sparse.csr_matrix(X).toarray(), np.float64).round(3)
    return {name: dense[:, span].tolist() for name, span in spans.items()}


# --- Lines -----------------------------------------------------------------------------------------------------------


def test_numbers_and_base64_say_the_same() -> None:
    as_bytes = np.array([1, -2.5, 0], "<f4").tobytes()
    assert parse_vector([1, -2.5, 0]) == parse_vector(base64.b64encode(as_bytes).decode()) == as_bytes


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ([], "A vector has 1 to 4096 numbers, this one has 0."),
        ([0.5] * 4097, "A vector has 1 to 4096 numbers, this one has 4097."),
        ([1, "2"], "A vector must hold numbers alone."),
        ([1, True], "A vector must hold numbers alone."),
        ([[1]], "A vector must hold numbers alone."),
        ([float("nan")], "The numbers of a vector must be finite, and none beyond 1e18."),
        ([float("-inf")], "The numbers of a vector must be finite, and none beyond 1e18."),
        ([1e30], "The numbers of a vector must be finite, and none beyond 1e18."),
        ([10**400], "The numbers of a vector must be finite, and none beyond 1e18."),
        (base64.b64encode(np.array([np.inf], "<f4").tobytes()).decode(), "The numbers of a vector must be finite"),
        ("AAA=", "A vector in base64 must hold float32 numbers, of four bytes each."),
        ("é", "A vector that is a text must be base64."),
        ({"0": 1}, "A vector must be a list of numbers, or float32 numbers in base64."),
    ],
)
def test_what_is_no_vector_is_refused_with_a_sentence(vector: Any, reason: str) -> None:
    with pytest.raises(VectorError) as caught:
        parse_vector(vector)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"external_id": "a"}, "The line has no `vector`."),
        ({"vector": [1]}, "`external_id` "),
        ({"external_id": "a", "vector": [1], "model": "x"}, "There is no field"),
        ({"external_id": "a", "vector": [1], "name": "../up"}, "`name` must be 1 to 60 of"),
        ({"external_id": "a", "vector": [1], "name": 3}, "`name` must be 1 to 60 of"),
        ({"external_id": "a", "vector": []}, "A vector has 1 to 4096"),
    ],
)
def test_lines_that_are_no_embeddings_are_refused(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(EmbeddingError) as caught:
        parse_embedding(row)
    assert str(caught.value).startswith(reason)


# --- Taking them in --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_good_lines_are_kept_and_bad_ones_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "BATCH", 2)
    first, second = add(desk, 2, SPAM, "s")
    found = send(
        desk,
        [
            line(first, [1, 2]),
            "not json",
            line(first, [3, 4]),
            line(second, [1, 2, 3]),
            {"external_id": "nobody", "vector": [1, 2]},
            line(second, [5, 6], name="other"),
            line(second, [7]),
        ],
    )
    assert (found["accepted"], found["rejected"]) == (3, 4)
    assert [fault["line"] for fault in found["errors"]] == [2, 4, 5, 7]
    assert found["errors"][1]["reason"].startswith("The vector has 3 numbers; those named default have 2 here.")
    assert stored(desk) == {first: [3, 4], second: [5, 6]}


@pytest.mark.django_db
def test_many_bytes_end_a_batch_as_many_lines_do(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "BATCH_BYTES", 9)
    items = add(desk, 3, SPAM, "s")
    job = spool(desk, [line(item, [1, 2]) for item in items])
    running = attempt(job)
    done: list[int] = []
    monkeypatch.setattr(running, "progress", done.append)
    run_embeddings(running)
    assert done == [2, 3]


@pytest.mark.django_db
def test_a_project_has_at_most_eight_names(desk: Desk) -> None:
    (item,) = add(desk, 1, SPAM, "s")
    found = send(desk, [line(item, [1], name=f"n{number}") for number in range(9)])
    assert found["errors"] == [{"line": 9, "reason": "A project has at most 8 names of embeddings."}]


@pytest.mark.django_db
def test_a_file_that_is_gone_fails_the_job_with_a_sentence(desk: Desk) -> None:
    job = spool(desk, [])
    (vectors_path(0).parent / "sent").unlink()
    with pytest.raises(JobFailedError, match="Send it again"):
        run_embeddings(attempt(job))


@pytest.mark.django_db
def test_the_file_stays_while_another_attempt_may_follow(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    job = spool(desk, [])
    monkeypatch.setattr(embeddings, "_batches", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
    there = []
    for _number in range(job.max_attempts):
        with pytest.raises(OSError, match="power cut"):
            run_embeddings(attempt(job))
        there.append((vectors_path(0).parent / "sent").exists())
    assert there == [True, True, False]


@pytest.mark.django_db
def test_the_next_job_removes_the_file_of_one_that_was_killed(desk: Desk) -> None:
    left = vectors_path(0).parent / "left"
    spool(desk, [])
    left.write_text("")
    Job.objects.update(state="dead", args={"file": "left", "compression": None}, ended_at=Now())
    send(desk, [])
    assert not left.exists()


@pytest.mark.django_db
def test_embeddings_over_http(desk: Desk, client: Client) -> None:
    (item,) = add(desk, 1, SPAM, "s")
    url = reverse("api-embeddings", args=["forum"])
    headers = {"Authorization": f"Bearer {create_token(user=desk.cast.enzo, actor=desk.cast.enzo)[1]}"}
    body = json.dumps(line(item, [1, 2], name="clip"))
    answer = client.post(url, body, content_type="application/x-ndjson", headers=headers)
    assert answer.status_code == 202
    run_embeddings(attempt(Job.objects.get(pk=answer.json()["job"])))
    assert client.get(url, headers=headers).json() == {"results": [{"name": "clip", "n_dimensions": 2, "n_items": 1}]}
    assert client.delete(url, headers=headers).status_code == 404
    assert client.delete(url + "?name=clip", headers=headers).status_code == 204
    assert client.get(url, headers=headers).json() == {"results": []}
    assert not Embedding.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_embeddings_come_with_rows_of_an_import(desk: Desk) -> None:
    compiled = desk.project.schema.compiled  # type: ignore[union-attr]
    rows = [
        {"external_id": "new", "text": "one", "embedding": "[3, 4]"},
        {"text": "without a name", "embedding": [0.6, 0.8]},
        {"external_id": "bare", "text": "no vector"},
    ]
    for _time in range(2):
        dispatch_events()  # twice the same rows: the same vectors
        _outcome, is_stored = load_items(
            project=desk.project,
            read=lambda: [(number, parse_row(row, compiled)) for number, row in enumerate(rows, start=1)],
            actor=desk.cast.enzo,
        )
        assert is_stored
        dispatch_events()
        dispatch_events()
        (job,) = Job.objects.filter(kind="embeddings", state="queued")
        run_job(job.pk)
        job.refresh_from_db()
        assert (job.state, job.result) == ("done", {"accepted": 2 - _time, "rejected": 0, "errors": []})
        assert sorted(stored(desk).values()) == [pytest.approx([0.6, 0.8]), [3, 4]]
        rows.pop(1)
    assert list(vectors_path(0).parent.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_sounds_are_begun_by_themselves_once_their_embeddings_are_there(
    make_desk: MakeDesk, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_DIR = tmp_path / "media"
    desk = empty_desk(make_desk, learning={"every": 9, "batch": 2, "holdout_share": 0, "strategy": "adaptive"})
    sounds = [
        add_media(project=desk.project, source=io.BytesIO(make_wav(0.1 * n)), actor=None)[0].sha256 for n in (1, 2, 3)
    ]
    pool = names_in(desk, Item.Split.POOL, "sound")
    rows = [{"external_id": next(pool), "parts": [{"kind": "audio", "media": sound}]} for sound in sounds]
    import_rows(desk.project, rows)
    dispatch_events()
    assert not Round.objects.exists()  # nothing is known of a sound
    import_rows(desk.project, [{**row, "embedding": [1, number]} for number, row in enumerate(rows)])
    dispatch_events()
    run_job(Job.objects.get(kind="embeddings").pk)
    dispatch_events()
    (round_,) = Round.objects.all()
    assert round_.trigger == "items"
    run_job(round_.job_id or 0)
    round_.refresh_from_db()
    assert round_.note.endswith("This batch was chosen so that as many items as possible are like one of it.")


@pytest.mark.django_db
def test_a_file_that_is_refused_leaves_no_vectors_behind(desk: Desk) -> None:
    compiled = desk.project.schema.compiled  # type: ignore[union-attr]
    row = parse_row({"external_id": "new", "text": "one", "embedding": [1]}, compiled)
    other = parse_row({"external_id": "new", "text": "another"}, compiled)
    _outcome, is_stored = load_items(project=desk.project, read=lambda: [(1, row), (2, other)], actor=None)
    assert not is_stored
    assert list(vectors_path(0).parent.iterdir()) == []


# --- What a model sees -----------------------------------------------------------------------------------------------


def looked_at(desk: Desk, items: list[int]) -> tuple[bool, bool]:
    """Whether a strategy is told that these are dense, and images alone."""
    [question] = learnable_questions(desk.project)
    rng = np.random.default_rng(0)

    def make() -> tuple[Features, Shards]:
        shards = refresh_shards(desk.project, lambda: None)
        return fit_space(shards, np.sort(items), rng), shards

    vectors = ItemVectors(make)
    seen_as = look_at(desk.project, question, np.array(items), None, vectors, rng, starts_by_coverage=True)
    return seen_as.is_dense, seen_as.has_pixels_only


@pytest.mark.django_db
def test_images_are_known_for_images_while_they_have_no_vectors(desk: Desk, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_DIR = tmp_path / "media"
    names = add_bars(desk)
    bars = list(Item.objects.filter(external_id__in=names).values_list("pk", flat=True))
    assert looked_at(desk, bars) == (True, True)
    assert looked_at(desk, add(desk, 3, SPAM, "s")) == (False, False)
    send(desk, [line(item, [1, number]) for number, item in enumerate(bars)])
    assert looked_at(desk, bars) == (True, False)


@pytest.mark.django_db
def test_vectors_become_a_block_of_rows_of_length_one(desk: Desk, settings: Any) -> None:
    first, second, third = add(desk, 3, SPAM, "s")
    send(desk, [line(first, [3, 4]), line(second, [0, -2]), line(first, [1], name="a")])
    assert seen(desk, [third, second, first]) == {
        "given:a": [[0], [0], [1]],
        "given:default": [[0, 0], [0, -1], [0.6, 0.8]],
    }
    send(desk, [line(second, [0, -2]), line(third, [1, 0]), line(first, [4, 3])])
    assert seen(desk, [third, second, first])["given:default"] == [[1, 0], [0, -1], [0.8, 0.6]]
    data = [path.read_bytes() for path in settings.FEATURE_DIR.glob("*/given-*/*.safetensors")]
    assert sum(len(shard_files.view(one)[0]["items"]) for one in data) == 4  # three and one


@pytest.mark.django_db
def test_a_round_learns_from_vectors_where_the_texts_say_nothing(desk: Desk) -> None:
    known = [*add(desk, 6, "the same", "x", "spam"), *add(desk, 6, "the same", "y", "none")]
    like_spam, like_none = add(desk, 2, "the same", "open")
    vectors = [[1, 0.1 * n] for n in range(6)] + [[-1, 0.1 * n] for n in range(6)]
    lines = [line(item, vector) for item, vector in zip(known, vectors, strict=True)]
    send(desk, [*lines, line(like_spam, [2, 0.5]), line(like_none, [-3, 0.5])])
    done = play(desk)
    assert done.model_version is not None
    shown = dict(done.model_version.scores.values_list("item", "choice"))
    assert shown[like_spam] != shown[like_none]
    remove_space(space=EmbeddingSpace.objects.get(), actor=None)
    running = attempt(ask(desk, train=False))
    with pytest.raises(JobFailedError, match="Train a new one"):
        run_round(running)
    finish(running, None)


@pytest.mark.django_db
def test_the_vector_of_a_sealed_or_erased_item_goes_with_it(desk: Desk, settings: Any) -> None:
    sealed, erased, kept = add(desk, 3, PLAIN, "p")
    send(desk, [line(item, [1, number]) for number, item in enumerate((sealed, erased, kept))])
    refresh_shards(desk.project, lambda: None)
    quarantine_item(item=Item.objects.get(pk=sealed), actor=desk.cast.rita)
    erase_items(project=desk.project, item_ids=[erased], actor=None, reason="asked")
    assert stored(desk) == {kept: [1, 2]}
    refresh_shards(desk.project, lambda: None)
    (path,) = settings.FEATURE_DIR.glob("*/given-*/*.safetensors")
    assert shard_files.view(path.read_bytes())[0]["items"].tolist() == [kept]


@pytest.mark.django_db
def test_a_vector_that_came_while_its_item_was_sealed_goes_with_the_next_job(desk: Desk) -> None:
    (item,) = add(desk, 1, PLAIN, "p")
    quarantine_item(item=Item.objects.get(pk=item), actor=desk.cast.rita)
    space = ensure_space(project=desk.project, name="late", n_dimensions=1)
    write_vectors(space=space, vectors={item: parse_vector([1])}, check=lambda: None)
    job = start_features(project=desk.project)
    assert job is not None
    run_features(attempt(job))
    assert stored(desk) == {}


def test_contents_at_hand_have_no_given_vectors() -> None:
    made = feature_code.Features({"given:a": feature_code.GivenFeatures(2, 1)})
    with pytest.raises(ValueError, match="is not made of texts or images"):
        made.transform(["a"], [None])
