"""Counted words in files: counted once, made again where they are not what was written, gone with what is erased."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from annotation.actions.items import erase_items, quarantine_item
from annotation.actions.quarantine import ask_release, confirm_release
from annotation.events import dispatch_events
from annotation.jobs import JobFailedError, JobLostError, RunningJob, run_job
from annotation.models import Item, Job, QueueRow
from learning.actions import models
from learning.actions.features import start_features
from learning.algorithms.features import TextFeatures, count_words
from learning.features import counting
from learning.features import shards as shard_files
from learning.features.counting import HAS_TEXT, count_blocks, count_payloads
from learning.features.shards import ShardList
from learning.features.stored import refresh_shards
from learning.models import ModelVersion, Round, Score
from learning.tasks.features import run_features
from learning.tasks.rounds import run_round
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, ask, attempt, empty_desk, finish, play, teach


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.FEATURE_DIR = tmp_path / "features"


@pytest.fixture
def desk(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Ten items, in shards of four."""
    monkeypatch.setattr(shard_files, "SHARD", 4)
    monkeypatch.setattr(shard_files, "BLOCK", 3)
    monkeypatch.setattr(counting, "MIN_BLOCKS", 100)  # a process takes seconds to start
    desk = empty_desk(make_desk, learning={"every": None, "text": "words"})
    add(desk, 6, SPAM, "s")
    add(desk, 4, PLAIN, "p")
    return desk


def files(desk: Desk) -> dict[str, bytes]:
    from django.conf import settings

    return {path.name: path.read_bytes() for path in (settings.FEATURE_DIR / str(desk.project.pk)).glob("*/*")}


def stored(desk: Desk) -> set[int]:
    """The items that the files hold counts of, whatever the index says."""
    found: set[int] = set()
    for name, data in files(desk).items():
        found |= set() if name == "index.json" else set(shard_files.view(data)[0]["items"].tolist())
    return found


def refresh(desk: Desk, check: Callable[[], object] = lambda: None) -> ShardList:
    """The stored words."""
    shards = refresh_shards(desk.project, check)
    return shards.of_store(shards.stores[0])


def listed(desk: Desk) -> list[int]:
    """The ids of the project's items, less the sealed one it begins with."""
    return list(Item.objects.filter(project=desk.project, lifecycle=0).order_by("pk").values_list("pk", flat=True))


def texts(items: list[int]) -> list[str]:
    found = Item.objects.select_related("payload").in_bulk(items)
    return [found[item].payload.parts[0]["text"] for item in items]


def same(left: sparse.csr_matrix, right: sparse.csr_matrix) -> bool:
    return left.shape == right.shape and bool((left.astype(np.float32) != right.astype(np.float32)).nnz == 0)


@pytest.mark.django_db
def test_stored_counts_are_those_of_the_texts_in_any_order(desk: Desk) -> None:
    asked = listed(desk)[::-3]
    shards = refresh(desk)
    assert [len(shard.items) for shard in shards.shards] == [4, 4, 2]
    counted = shards.gather(np.array(asked))
    assert same(counted.matrix, count_words(texts(asked)))
    assert counted.marks.tolist() == [HAS_TEXT] * len(asked)


@pytest.mark.django_db
def test_items_that_come_later_fill_up_the_last_shard_and_leave_the_full_ones_alone(desk: Desk) -> None:
    before = refresh(desk).shards
    add(desk, 3, PLAIN, "later")
    after = refresh(desk)
    assert [shard.sha256 for shard in after.shards[:2]] == [shard.sha256 for shard in before[:2]]
    assert [len(shard.items) for shard in after.shards] == [4, 4, 4, 1]
    items = listed(desk)
    assert same(after.gather(np.array(items)).matrix, count_words(texts(items)))
    assert len(files(desk)) == 5


@pytest.mark.django_db
@pytest.mark.parametrize(
    "harm", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?")]
)
def test_a_shard_that_is_lost_or_damaged_is_made_again(
    desk: Desk, settings: Any, harm: Callable[[Path], object]
) -> None:
    shards = refresh(desk).shards
    (path,) = settings.FEATURE_DIR.glob(f"*/*/{shards[1].path}")
    harm(path)
    items = listed(desk)
    assert same(refresh(desk).gather(np.array(items)).matrix, count_words(texts(items)))
    assert stored(desk) == set(items)


@pytest.mark.django_db
def test_what_was_sealed_or_erased_is_in_no_file_and_counts_as_empty(desk: Desk, settings: Any) -> None:
    (left,) = settings.FEATURE_DIR.glob("*/*/" + refresh(desk).shards[0].path)
    for name in (".incoming-1", "0.safetensors"):  # what an attempt that was cut off leaves
        left.with_name(name).write_bytes(left.read_bytes())
    sealed, erased, *rest = listed(desk)
    quarantine_item(item=Item.objects.get(pk=sealed), actor=desk.cast.rita)
    erase_items(project=desk.project, item_ids=[erased], actor=desk.cast.olga, reason="asked")
    shards = refresh(desk)
    assert stored(desk) == set(rest)
    assert shards.gather(np.array([erased, sealed])).matrix.sum() == 0
    erase_items(project=desk.project, item_ids=rest, actor=desk.cast.olga, reason="asked")
    assert refresh(desk).shards == []
    assert list(files(desk)) == ["index.json"]


@pytest.mark.django_db(transaction=True)
def test_the_worker_counts_what_comes_and_removes_what_goes_by_itself(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, learning={"every": 100, "holdout_share": 0})
    (first, second) = add(desk, 2, SPAM, "s")

    def work() -> set[int]:
        dispatch_events()
        waiting = Job.objects.filter(kind="features", state="queued")
        assert waiting.count() == 1
        run_job(waiting.get().pk)
        return stored(desk)

    assert work() == {first, second}
    quarantine = quarantine_item(item=Item.objects.get(pk=first), actor=desk.cast.rita)
    assert work() == {second}
    assert quarantine is not None
    ask_release(quarantine=quarantine, actor=desk.cast.rita, reason="harmless")
    confirm_release(quarantine=quarantine, actor=desk.cast.olga)
    assert work() == {first, second}
    erase_items(project=desk.project, item_ids=[first, second], actor=desk.cast.olga, reason="asked")
    assert work() == set()


@pytest.mark.django_db(transaction=True)
def test_a_project_without_rounds_has_nothing_counted(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, learning={"every": None})
    add(desk, 2, SPAM, "s")
    dispatch_events()
    assert not Job.objects.filter(kind="features").exists()


@pytest.mark.django_db
def test_one_job_waits_however_often_it_is_asked_for(desk: Desk) -> None:
    job = start_features(project=desk.project)
    assert job is not None
    assert start_features(project=desk.project) is None
    running = attempt(job)
    assert run_features(running) == {"items": 10}
    running.job.refresh_from_db()
    assert (running.job.done, running.job.total) == (10, 10)


@pytest.mark.django_db
def test_counting_that_was_cut_off_goes_on_where_it_was(desk: Desk) -> None:
    calls = 0

    def cut() -> None:
        nonlocal calls
        calls += 1
        assert calls < 3, "power cut"

    with pytest.raises(AssertionError, match="power cut"):
        refresh(desk, cut)
    (index,) = (json.loads(data)["shards"] for name, data in files(desk).items() if name == "index.json")
    assert len(index) == 2
    after = refresh(desk)
    assert [shard.sha256 for shard in after.shards[:2]] == index
    assert stored(desk) == set(listed(desk))


def cut_off_at(running: RunningJob, number: int) -> list[int]:
    """Let the power go when the attempt looks for the `number`-th time whether the job is still its own."""
    before = running.check
    calls: list[int] = []

    def check() -> None:
        calls.append(len(calls))
        if len(calls) == number:
            raise OSError("power cut")
        before()

    running.check = check  # type: ignore[method-assign]
    return calls


@pytest.mark.django_db
def test_a_round_cut_off_at_any_of_its_steps_is_finished_by_the_next_attempt(
    make_desk: MakeDesk, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_files, "SHARD", 6)
    monkeypatch.setattr(models, "BATCH", 2)
    desk = empty_desk(make_desk, learning={"every": None, "holdout_share": 0, "random_share": 0, "text": "words"})
    teach(desk)
    opened = set(add(desk, 5, SPAM, "o"))
    play(desk)
    shutil.rmtree(settings.FEATURE_DIR)
    whole = attempt(ask(desk))
    calls = cut_off_at(whole, 0)
    finish(whole, run_round(whole))
    assert len(calls) > 10
    for number in range(1, len(calls) + 1):
        shutil.rmtree(settings.FEATURE_DIR)
        job = ask(desk)
        running = attempt(job)
        cut_off_at(running, number)
        with pytest.raises(OSError, match="power cut"):
            run_round(running)
        again = attempt(job)
        finish(again, run_round(again))
        model = ModelVersion.objects.get(project=desk.project, is_current=True)
        assert Round.objects.get(job=job).model_version == model
        assert set(Score.objects.values_list("model_version", "item")) == {(model.pk, item) for item in opened}
        assert len(files(desk)) == 4  # three shards of 17 items, and the index
        assert QueueRow.objects.filter(rank__lt=0).count() == 5


@pytest.mark.django_db
def test_an_attempt_that_lost_its_job_leaves_the_index_alone(desk: Desk) -> None:
    job = start_features(project=desk.project)
    assert job is not None
    late = attempt(job)
    running = attempt(job)
    with pytest.raises(JobLostError):
        run_features(late)
    assert "index.json" not in files(desk)
    run_features(running)
    assert stored(desk) == set(listed(desk))


@pytest.mark.django_db
def test_same_labels_same_weights_whether_counted_before_or_not(make_desk: MakeDesk, settings: Any) -> None:
    desk = empty_desk(make_desk, learning={"every": None, "holdout_share": 0, "text": "words"})
    teach(desk)
    add(desk, 3, SPAM, "o")
    play(desk)
    play(desk)
    settings.FEATURE_DIR = settings.FEATURE_DIR / "elsewhere"
    play(desk)
    digests = ModelVersion.objects.values_list("sha256", flat=True)
    assert (len(digests), len(set(digests))) == (3, 1)


@pytest.mark.django_db
def test_counts_of_another_version_are_not_used_and_its_models_neither(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = empty_desk(make_desk, learning={"every": None, "holdout_share": 0, "text": "words"})
    teach(desk)
    play(desk)
    before = set(files(desk))
    monkeypatch.setattr(TextFeatures, "VERSION", TextFeatures.VERSION + 1)
    running = attempt(ask(desk, train=False))
    with pytest.raises(JobFailedError, match="Train a new one"):
        run_round(running)
    finish(running, None)
    done = play(desk)
    assert done.n_train == 12
    assert set(files(desk)) == before  # the same names, in another folder


def test_whoever_counts_in_another_way_raises_the_version() -> None:
    """If this fails, `count_words` counts otherwise than before: raise VERSION and put the new digest here."""
    counts = count_words(["Buy buy NOW, it's 50% off!", "Füße, 東京 and été_2", ""])
    counts.sort_indices()
    digest = hashlib.sha256(counts.indices.astype("<i4").tobytes() + counts.data.astype("<f4").tobytes()).hexdigest()
    assert (TextFeatures.VERSION, digest[:16]) == (1, "3a88e89a0bc06e98")


def payload(text: str) -> bytes:
    return json.dumps([{"name": "text", "kind": "text", "role": "target", "text": text}]).encode()


def test_processes_count_as_one_does_and_in_order_and_one_that_ends_early_stops_it() -> None:
    words = [f"{'spam ' * n}number{n}" for n in range(600)]
    blocks: list[list[bytes | None]] = [[payload(text) for text in words[n : n + 50]] for n in range(0, 600, 50)]
    blocks[3][7] = None
    alone, counting_on = list(count_blocks(blocks, 0)), count_blocks([*blocks, [b"{not json"]], 2)
    together = [next(counting_on) for _block in blocks]
    assert [len(part) for part in together] == [50] * 12
    assert all(same(a.words, b.words) for a, b in zip(alone, together, strict=True))
    assert [part.kinds.tolist() for part in alone] == [part.kinds.tolist() for part in together]
    assert together[3].kinds[7] == 0
    assert together[-1].words.dtype == np.uint16  # 599 times one word
    with pytest.raises((RuntimeError, OSError)):
        next(counting_on)


def test_context_is_not_counted() -> None:
    parts = [
        {"name": "a", "kind": "text", "role": "context", "text": "before"},
        {"name": "b", "kind": "text", "role": "target", "text": "now"},
    ]
    counted = count_payloads([json.dumps(parts).encode(), None])
    assert same(counted.words, count_words(["now", ""]))
    assert counted.kinds.tolist() == [HAS_TEXT, 0]
    assert counting.narrow(np.array([70_000])).dtype == np.uint32
