"""Sentence embeddings: which folders are refused, what the process gives, and what a project makes of its vectors."""

from __future__ import annotations

import doctest
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from annotation.actions.items import erase_items
from annotation.actions.projects import change_project
from annotation.errors import InvalidError
from annotation.forms import SettingsForm, spread_settings
from annotation.jobs import JobFailedError
from annotation.sentence_models import SentenceModel, SentenceModelError, find_fault, find_model
from annotation.settings import LEARNING_DEFAULTS
from config.celery import tell_warnings
from learning.actions.embeddings import ensure_space, write_vectors
from learning.actions.features import start_features
from learning.algorithms.features import SENTENCES, Features, SentenceFeatures, TextFeatures, sentences
from learning.features import encoding
from learning.features import shards as shard_files
from learning.features.counting import read_text, write_message
from learning.features.encoding import Encoder, open_encoder
from learning.features.stored import refresh_shards
from learning.features.stores import SentenceStore
from learning.offline.comparison import prepare
from learning.offline.labels import TextFile
from learning.offline.tables import FileError
from learning.scoring import unpack_model
from learning.tasks.features import run_features
from learning.tasks.rounds import run_round
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, ask, attempt, empty_desk, finish, play, teach
from tests.sentence_models import N_DIMENSIONS, STATIC, WORDS, make_model, write_modules

SPAM_WORDS = [WORDS.index(word) for word in SPAM.split()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.float32]]:
    """A model's folder, and the vectors of its words."""
    folder = tmp_path_factory.mktemp("sentences") / "tiny"
    return folder, make_model(folder)


@pytest.fixture(scope="module")
def encoder(made: tuple[Path, NDArray[np.float32]]) -> Iterator[Encoder]:
    """The process, for all tests of this file: the library takes seconds to import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_KEY", "secret")
        with open_encoder(SentenceModel(made[0], "tiny")) as started:
            yield started


@pytest.fixture
def folder(tmp_path: Path, made: tuple[Path, NDArray[np.float32]], settings: Any) -> Path:
    """A copy of the model's folder, which the installation names."""
    settings.SENTENCE_MODEL = str(tmp_path / "model")
    return Path(shutil.copytree(made[0], tmp_path / "model"))


# --- The folder ------------------------------------------------------------------------------------------------------


def test_a_model_is_known_by_what_the_library_reads_of_it(folder: Path) -> None:
    before = find_model()
    (folder / "README.md").write_text("for people")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock.py").write_text("")
    assert find_model() == before
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + " ")
    assert find_model().digest != before.digest


def put(name: str, content: str = "") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def link(folder: Path) -> None:
    (folder / "1_Pooling").symlink_to("/etc")


def name_part(kind: str, path: str = "") -> Callable[[Path], object]:
    return lambda folder: write_modules(folder, kind, path)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (put("pytorch_model.bin"), 'holds "pytorch_model.bin", and files of such a kind can hide a program'),
        (put("modeling.py"), 'holds "modeling.py".* Remove that file'),
        (put("model.pkl"), "Remove that file"),
        (link, "links to folders"),
        (lambda folder: os.mkfifo(folder / "vocab.txt"), 'holds "vocab.txt"'),
        (lambda folder: (folder / "vocab.txt").symlink_to("/dev/zero"), 'holds "vocab.txt"'),
        (lambda folder: (folder / "model.safetensors").unlink(), r"no model\.safetensors: take one whose weights"),
        (lambda folder: (folder / "modules.json").unlink(), r"no modules\.json"),
        (lambda folder: shutil.rmtree(folder), r"cannot be read \(No such file or directory\): look at SENTENCE_MODEL"),
        (put("modules.json", "{"), "not as sentence-transformers writes it"),
        (put("modules.json", "[" * 50_000), "not as sentence-transformers writes it"),
        (put("modules.json", "[]"), "no parts"),
        (name_part("os.system"), 'a part of the kind "os.system"'),
        (name_part("sentence_transformers.util.misc.os.Dense"), "a part of the kind"),
        (name_part(STATIC, "../elsewhere"), "outside its folder"),
        (name_part(STATIC, "/etc"), "outside its folder"),
        (name_part("sentence_transformers.models.Transformer", "0_T"), "no 0_T/model.safetensors"),
    ],
)
def test_a_folder_that_could_do_harm_is_refused_before_anything_reads_it(
    folder: Path, harm: Callable[[Path], object], sentence: str
) -> None:
    assert find_fault() is None
    harm(folder)
    with pytest.raises(SentenceModelError, match=sentence):
        find_model()
    assert re.search(sentence, find_fault() or "")


def test_without_a_setting_or_the_extra_it_says_what_is_missing(
    folder: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.sentence_models.find_spec", lambda name: object() if name == "sklearn" else None)
    assert "pip install 'touchstone[sentences]'" in (find_fault() or "")
    monkeypatch.setattr("annotation.sentence_models.find_spec", lambda name: None)
    assert find_fault() is None  # a web node: its workers may have it
    settings.SENTENCE_MODEL = ""
    assert "needs SENTENCE_MODEL" in (find_fault() or "")


def test_a_worker_says_at_its_start_that_the_model_cannot_be_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tell_warnings()
    assert caplog.text == ""
    (folder / "evil.py").touch()
    tell_warnings()
    assert "touchstone.W001" in caplog.text
    assert "evil.py" in caplog.text


# --- The process -----------------------------------------------------------------------------------------------------


def test_vectors_are_the_models_in_the_order_of_the_texts(
    encoder: Encoder, made: tuple[Path, NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "AT_ONCE", 2)
    monkeypatch.setattr(encoding, "MAX_CHARACTERS", 100)
    found = encoder.encode([SPAM, "", " \n", "good", "nobody \ud800", "good " * 20 + "buy"])
    vectors = made[1]
    expected = [vectors[SPAM_WORDS].mean(axis=0), 0 * vectors[0], 0 * vectors[0]]
    expected += [vectors[5], vectors[0], vectors[5]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert encoder.encode([]).shape == (0, N_DIMENSIONS)


def test_the_process_has_no_secret_and_may_fetch_nothing(encoder: Encoder) -> None:
    told = Path(f"/proc/{encoder._process.pid}/environ").read_text().split("\0")
    assert {"HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1"} <= set(told)
    assert [line for line in told if "secret" in line or line.startswith(("LLM_", "DATABASE_", "SECRET_"))] == []


class Piped:
    """A process of which only what it wrote is there."""

    def __init__(self, written: bytes) -> None:
        self.stdin, self.stdout = io.BytesIO(), io.BytesIO(written)


def test_a_model_that_cannot_be_read_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_folder: str) -> Any:
        raise ValueError("header too large\nand more")

    monkeypatch.setattr(encoding, "_load", fail)
    target = io.BytesIO()
    encoding.serve("nowhere", io.BytesIO(), target)
    with pytest.raises(SentenceModelError, match=r"\(ValueError: header too large\): fetch it again"):
        Encoder(Piped(target.getvalue()), 2).encode(["a"])  # type: ignore[arg-type]
    with pytest.raises(SentenceModelError, match="ended early"):
        Encoder(Piped(b""), 2).encode(["a"])  # type: ignore[arg-type]


def test_vectors_that_are_no_numbers_are_refused() -> None:
    target = io.BytesIO()
    write_message(target, json.dumps({"n_dimensions": 2}).encode())
    write_message(target, np.array([1, np.nan], "<f4").tobytes())
    with pytest.raises(SentenceModelError, match="no numbers"):
        Encoder(Piped(target.getvalue()), 2).encode(["a"])  # type: ignore[arg-type]


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(sentences).failed == 0


def test_sentences_stand_among_the_columns_of_the_text() -> None:
    space = Features({"words": TextFeatures(np.ones(4, np.float32)), SENTENCES: SentenceFeatures(2, "a")})
    assert space.parts == {"text": slice(0, 6)}
    rows = {"words": sparse.csr_matrix(np.array([[1, 0, 0, 1], [0, 0, 1, 0]])), SENTENCES: np.array([[3, 4], [0, 0]])}
    lengths = linalg.norm(sparse.csr_matrix(space.join(rows, 2)), axis=1)
    assert lengths == pytest.approx([np.sqrt(1.25), 1])
    again = Features.from_arrays(*space.to_arrays())
    assert again.blocks[SENTENCES] == space.blocks[SENTENCES]


# --- In a project ----------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Projects use the process that runs; the digests of the models for which one was asked."""
    asked: list[str] = []

    @contextmanager
    def open_running(model: SentenceModel) -> Iterator[Encoder]:
        asked.append(model.digest)
        yield encoder

    for place in ("learning.features.stores", "learning.features.encoding"):
        monkeypatch.setattr(f"{place}.open_encoder", open_running)
    return asked


@pytest.fixture
def desk(make_desk: MakeDesk, settings: Any, tmp_path: Path, folder: Path, opened: list[str]) -> Desk:
    settings.MODEL_DIR, settings.FEATURE_DIR = tmp_path / "models", tmp_path / "features"
    return empty_desk(make_desk, learning={"every": None, "holdout_share": 0, "text": SENTENCES})


def stored(desk: Desk) -> dict[int, list[float]]:
    """The vectors in the files, by item."""
    shards = refresh_shards(desk.project, lambda: None)
    (store,) = (one for one in shards.stores if one.name == SENTENCES)
    found = shards.of_store(store)
    rows = found.gather(np.sort(found.items))
    return dict(zip(rows.items.tolist(), rows.matrix.tolist(), strict=True))


def in_files(settings: Any) -> set[int]:
    """The items that any file holds a row of, whatever the index says."""
    found: set[int] = set()
    for path in settings.FEATURE_DIR.glob("*/*/*.safetensors"):
        found |= set(shard_files.view(path.read_bytes())[0]["items"].tolist())
    return found


@pytest.mark.django_db
def test_a_round_learns_by_sentences_beside_what_suits_the_project_and_encodes_each_text_once(
    desk: Desk, opened: list[str], made: tuple[Path, NDArray[np.float32]]
) -> None:
    teach(desk)
    (item,) = add(desk, 1, SPAM, "o")
    first, again = play(desk), play(desk)
    assert first.model_version is not None
    assert again.n_train == 12
    features, _model = unpack_model(first.model_version)
    assert list(features.blocks) == ["characters", SENTENCES]
    block = features.blocks[SENTENCES]
    assert isinstance(block, SentenceFeatures)
    assert (block.n_dimensions, block.model) == (N_DIMENSIONS, find_model().digest)
    unknown = [0]  # "o0"
    np.testing.assert_allclose(stored(desk)[item], made[1][SPAM_WORDS + unknown].mean(axis=0), rtol=1e-5)
    assert len(opened) == 1


@pytest.mark.django_db
def test_another_model_makes_all_anew_and_models_of_the_one_before_are_refused(
    desk: Desk, folder: Path, opened: list[str], settings: Any
) -> None:
    teach(desk)
    play(desk)
    shutil.rmtree(folder)
    make_model(folder, seed=1)
    running = attempt(ask(desk, train=False))
    with pytest.raises(JobFailedError, match="Train a new one"):
        run_round(running)
    finish(running, None)
    assert play(desk).n_train == 12
    assert len(set(opened)) == len(opened) == 2
    assert [path.name for path in settings.FEATURE_DIR.glob("*/sentences-*")] == [f"sentences-1-{opened[1]}"]


@pytest.mark.django_db
def test_what_was_erased_goes_even_where_the_model_was_lost(desk: Desk, folder: Path, settings: Any) -> None:
    kept, erased = add(desk, 2, SPAM, "s")
    assert set(stored(desk)) == in_files(settings) == {kept, erased}
    shutil.rmtree(folder)
    erase_items(project=desk.project, item_ids=[erased], actor=desk.cast.olga, reason="asked")
    assert set(stored(desk)) == in_files(settings) == {kept}
    (new,) = add(desk, 1, PLAIN, "p")
    space = ensure_space(project=desk.project, name="clip", n_dimensions=1)
    write_vectors(space=space, vectors={kept: b"\0\0\0?"}, check=lambda: None)
    with pytest.raises(JobFailedError):
        stored(desk)
    (words,) = settings.FEATURE_DIR.glob("*/words-1")
    shutil.copytree(words, words.with_name("words-0"))
    assert len(list(words.parent.glob("given-*/index.json"))) == 1
    erase_items(project=desk.project, item_ids=[kept], actor=desk.cast.olga, reason="asked")
    job = start_features(project=desk.project)
    assert job is not None
    running = attempt(job)
    with pytest.raises(JobFailedError, match=r"these cannot be made: .*look at SENTENCE_MODEL"):
        run_features(running)
    assert in_files(settings) == {new}  # counted; its vector waits


@pytest.mark.django_db
def test_a_round_on_a_host_that_lost_the_model_says_so_unless_all_is_there(desk: Desk, folder: Path) -> None:
    teach(desk)
    play(desk)
    shutil.rmtree(folder)
    assert play(desk).n_train == 12
    add(desk, 1, SPAM, "o")
    running = attempt(ask(desk))
    with pytest.raises(JobFailedError):
        run_round(running)
    round_ = desk.project.rounds.order_by("-number")[0]
    assert re.search(r"sentence embeddings .*look at SENTENCE_MODEL\. Or choose something else", round_.note)


@pytest.mark.django_db
def test_encoding_that_was_cut_off_goes_on_where_it_was(
    desk: Desk, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SentenceStore, "n_at_most", 2)
    items = add(desk, 5, SPAM, "s")
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))
        if (done, total) == (5 + 5 + 4, 15):  # words, characters, two files of vectors
            raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        refresh_shards(desk.project, lambda: None, tell)
    (index,) = settings.FEATURE_DIR.glob("*/sentences-*/index.json")
    before = json.loads(index.read_bytes())["shards"]
    assert len(before) == 2
    assert set(stored(desk)) == set(items)
    assert json.loads(index.read_bytes())["shards"][:2] == before


def choose(desk: Desk, **learning: Any) -> None:
    sent = {**LEARNING_DEFAULTS, "every": None, "text": SENTENCES, **learning}
    change_project(project=desk.project, actor=desk.cast.olga, settings={"learning": sent})
    desk.project.refresh_from_db()


@pytest.mark.django_db
def test_the_setting_is_refused_with_a_reason_where_it_cannot_work_and_stays_where_it_is_set(
    make_desk: MakeDesk, settings: Any, folder: Path
) -> None:
    desk, settings.SENTENCE_MODEL = make_desk(n=1), ""
    with pytest.raises(InvalidError) as refused:
        choose(desk)
    assert refused.value.fields["learning"].startswith("`text`: sentences cannot be chosen: no sentence model is set")
    settings.SENTENCE_MODEL = str(folder)
    choose(desk)
    settings.SENTENCE_MODEL = ""
    choose(desk, batch=50)
    assert desk.project.learning is not None
    assert desk.project.learning["batch"] == 50


@pytest.mark.django_db
def test_the_settings_page_offers_it_where_it_can_work_or_is_set(
    make_desk: MakeDesk, settings: Any, folder: Path
) -> None:
    desk = make_desk(n=1)
    assert desk.project.schema is not None
    compiled = desk.project.schema.compiled

    def is_offered() -> bool:
        form = SettingsForm(project=desk.project, compiled=compiled)
        assert form["learning_text"].value() == spread_settings(desk.project)["learning_text"]
        return SENTENCES in str(form["learning_text"])

    settings.SENTENCE_MODEL = ""
    assert not is_offered()
    settings.SENTENCE_MODEL = str(folder)
    assert is_offered()
    choose(desk)
    settings.SENTENCE_MODEL = ""
    assert is_offered()


def test_a_file_is_simulated_by_sentences_too(opened: list[str], folder: Path, settings: Any) -> None:
    file, holdout = TextFile([SPAM, PLAIN] * 30, np.array([0, 1] * 30), ["a", "b"]), np.arange(60) < 12
    labelled = prepare(file, holdout, seed=1, keywords="cheap pills", text_features=SENTENCES)
    assert labelled.X.shape == (60, 2**18 + N_DIMENSIONS)
    assert np.abs(sparse.csr_matrix(labelled.X)[:, -N_DIMENSIONS:]).sum(axis=1).all()
    settings.SENTENCE_MODEL = ""
    with pytest.raises(FileError, match="--text-features sentences: no sentence model"):
        prepare(file, holdout, seed=1, text_features=SENTENCES)


def test_items_that_are_gone_have_no_text() -> None:
    part = {"name": "a", "kind": "text", "role": "target", "text": "hello"}
    assert [read_text(one) for one in (None, b"[]", json.dumps([part]).encode())] == ["", "", "hello"]
