"""Pixels of images in files: decoded once, made anew where the pool's size changed, gone with what is erased."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from annotation.actions.items import erase_items, quarantine_item
from annotation.actions.media import add_media
from annotation.media import media_path
from annotation.models import Item
from learning import scoring
from learning.algorithms.estimators import fit_logistic
from learning.algorithms.features import ImageFeatures
from learning.features import shards as shard_files
from learning.features.stored import Shards, refresh_shards
from learning.models import ModelVersion
from learning.scoring import fit_space, predict
from tests.cast import Desk, MakeDesk, import_rows
from tests.learning_rows import empty_desk, names_in, play

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(make_desk: MakeDesk, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A project with folders of its own, whose shards hold two images of 2 x 2."""
    settings.MODEL_DIR, settings.FEATURE_DIR = tmp_path / "models", tmp_path / "features"
    settings.MEDIA_DIR = tmp_path / "media"
    monkeypatch.setattr(shard_files, "MAX_CELLS", 8)
    return empty_desk(make_desk, learning={"every": None, "holdout_share": 0, "text": "words"})


def picture(brightness: int, side: int = 2) -> bytes:
    out = io.BytesIO()
    Image.new("L", (side, side), brightness).save(out, "PNG")
    return out.getvalue()


def add_images(desk: Desk, pictures: Sequence[bytes], prefix: str = "i", **fields: Any) -> NDArray[np.int64]:
    """An item for each picture; their ids, in this order."""
    names = list(islice(names_in(desk, Item.Split.POOL, prefix), len(pictures)))
    media = [add_media(project=desk.project, source=io.BytesIO(one), actor=None)[0].sha256 for one in pictures]
    rows = [
        {"external_id": name, "parts": [{"kind": "image", "media": sha}, *fields.get("parts", [])]}
        | ({"annotations": [{"annotator": "ann", "answers": {"verdict": said}}]} if said else {})
        for name, sha, said in zip(names, media, fields.get("said", [None] * len(names)), strict=True)
    ]
    import_rows(desk.project, rows)
    return np.array([desk.item(name).pk for name in names])


def refresh(desk: Desk) -> Shards:
    return refresh_shards(desk.project, lambda: None)


def brightness(desk: Desk, items: NDArray[np.int64]) -> list[list[int]]:
    """What a model sees of the items, as pixels of 0 to 255."""
    shards = refresh(desk)
    features = fit_space(shards, np.sort(items), np.random.default_rng(0))
    X = shards.vectorise(features, items)
    return [[round(value * 255) for value in row] for row in np.asarray(X).tolist()]


def folders(settings: Any) -> set[str]:
    return {path.name for path in settings.FEATURE_DIR.glob("*/*")}


def test_pixels_are_read_once_and_found_in_any_order(desk: Desk, settings: Any) -> None:
    items = add_images(desk, [picture(value) for value in (10, 20, 30)])
    assert brightness(desk, items[[2, 0]]) == [[30] * 4, [10] * 4]
    for path in settings.MEDIA_DIR.rglob("*"):
        path.unlink() if path.is_file() else None
    assert brightness(desk, items) == [[10] * 4, [20] * 4, [30] * 4]
    assert folders(settings) == {"words-1", "pixels-1-2x2x1"}
    assert len(list(settings.FEATURE_DIR.glob("*/pixels-*/*.safetensors"))) == 2


def test_each_shard_is_looked_at_once_in_a_round(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    items = add_images(desk, [picture(value) for value in (10, 20, 30)])
    refresh(desk)
    opened: list[str] = []
    open_shard = shard_files.open_shard

    def note(folder: Path, digest: str) -> shard_files.Shard:
        opened.append(folder.name)
        return open_shard(folder, digest)

    monkeypatch.setattr(shard_files, "open_shard", note)
    assert brightness(desk, items) == [[10] * 4, [20] * 4, [30] * 4]
    assert sorted(opened) == ["pixels-1-2x2x1", "pixels-1-2x2x1", "words-1"]


def test_a_larger_image_makes_a_new_size_and_without_it_the_old_one_returns(desk: Desk, settings: Any) -> None:
    small = add_images(desk, [picture(10)])
    before = refresh(desk)
    (large,) = add_images(desk, [picture(20, side=3)], "large")
    assert brightness(desk, small) == [[10] * 9]
    assert folders(settings) == {"words-1", "pixels-1-3x3x1"}
    erase_items(project=desk.project, item_ids=[int(large)], actor=None, reason="asked")
    assert brightness(desk, small) == [[10] * 4]
    assert folders(settings) == {"words-1", "pixels-1-2x2x1"}
    old = before.of("pixels", ImageFeatures(2, 2, 1)).gather(small).matrix
    assert old.tolist() == [[10] * 4]


def test_a_model_of_another_size_still_sees_the_images(desk: Desk) -> None:
    items = add_images(desk, [picture(10), picture(20, side=3)])
    rows = refresh(desk).of("pixels", ImageFeatures(1, 2, 1)).gather(items)
    assert rows.matrix.tolist() == [[10, 10], [20, 20]]


def test_sealed_and_erased_images_are_in_no_shard(desk: Desk, settings: Any) -> None:
    items = add_images(desk, [picture(value) for value in (10, 20, 30)])
    refresh(desk)
    quarantine_item(item=Item.objects.get(pk=int(items[0])), actor=desk.cast.rita)
    erase_items(project=desk.project, item_ids=[int(items[1])], actor=None, reason="asked")
    refresh(desk)
    stored: set[int] = set()
    for path in settings.FEATURE_DIR.glob("*/*/*.safetensors"):
        stored |= set(shard_files.view(path.read_bytes())[0]["items"].tolist())
    assert stored == {items[2]}


def test_damaged_pixels_are_made_again(desk: Desk, settings: Any) -> None:
    items = add_images(desk, [picture(10), picture(20)])
    refresh(desk)
    (path,) = settings.FEATURE_DIR.glob("*/pixels-*/*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert brightness(desk, items) == [[10] * 4, [20] * 4]


def test_an_image_that_is_not_on_this_host_is_black_until_it_is(desk: Desk) -> None:
    items = add_images(desk, [picture(10), picture(20)])
    payload = Item.objects.get(pk=int(items[1])).payload
    path = media_path(desk.project.pk, payload.parts[0]["media"])
    path.rename(path.with_suffix(".away"))
    assert brightness(desk, items) == [[10] * 4, [0] * 4]
    path.with_suffix(".away").rename(path)
    assert brightness(desk, items) == [[10] * 4, [20] * 4]


def test_parts_of_a_pool_are_scored_as_the_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    text = [{"kind": "text", "text": "buy now"}]
    both = add_images(desk, [picture(value) for value in (10, 200, 240)], "both", parts=text)
    items = np.sort(np.concatenate([both, add_images(desk, [picture(90), picture(91)], "image")]))
    shards = refresh(desk)
    features = fit_space(shards, items, np.random.default_rng(0))
    assert list(features.blocks) == ["words", "pixels"]
    X = shards.vectorise(features, items)
    model = fit_logistic(X, [0, 1, 1, 0, 1], n_classes=2, seed=0)
    monkeypatch.setattr(scoring, "MAX_PART", 2)
    done: list[int] = []
    found = predict(features, shards, model, items, done.append)
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-6)
    assert done == [2, 2, 1]


def test_a_round_learns_from_pixels_and_the_same_ones_next_time(desk: Desk) -> None:
    bright_and_dark = [picture(20 + n if n % 2 else 220 + n) for n in range(12)]
    add_images(desk, bright_and_dark, "known", said=["spam", "none"] * 6)
    bright, dark = add_images(desk, [picture(250), picture(5)], "open").tolist()
    for _time in range(2):
        done = play(desk)
        assert done.model_version is not None
        shown = dict(done.model_version.scores.values_list("item", "choice"))
        assert shown[bright] != shown[dark]
    digests = ModelVersion.objects.values_list("sha256", flat=True)
    assert (len(digests), len(set(digests))) == (2, 1)
