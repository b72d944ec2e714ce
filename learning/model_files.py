"""Models' files under MODEL_DIR: weights in one safetensors file, probabilities of the pool in shards beside it.

`PROJECT/qQUESTION-VERSION/model-SHA.safetensors` and `.../scores-ATTEMPT/NNNNN.safetensors` with their digests in
`scores.json`, which is written last. A file appears whole or not at all. Names carry a hash or the attempt's number, so
that a worker that lost its job writes nowhere that matters.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from annotation.durable import write_whole
from learning.models import ModelVersion, Round

SHARD = 50_000
_INDEX = "scores.json"


def store_weights(round_: Round, version: str, data: bytes, digest: str) -> str:
    """Write a model's weights; returns the path to record, relative to MODEL_DIR."""
    path = f"{round_.project_id}/q{round_.question}-{version}/model-{digest[:16]}.safetensors"
    write_whole(Path(settings.MODEL_DIR) / path, data)
    return path


def read_weights(model: ModelVersion) -> bytes:
    """The bytes as they lie there, unchecked (`weights.unpack` checks them). Raises OSError."""
    return (Path(settings.MODEL_DIR) / model.path).read_bytes()


def store_proba(
    model: ModelVersion, attempt: str, items: NDArray[np.int64], proba: NDArray[Any], check: Callable[[], Any]
) -> None:
    """Write the probabilities of the pool as shards, and their index; the shards of an earlier scoring go."""
    from learning.algorithms import weights

    folder = _folder(model) / f"scores-{attempt}"
    shutil.rmtree(folder, ignore_errors=True)
    shards = []
    for number, start in enumerate(range(0, max(1, len(items)), SHARD)):
        part = slice(start, start + SHARD)
        data = weights.pack(
            {"items": np.asarray(items[part], np.int64), "proba": np.asarray(proba[part], np.float32)},
            {"kind": "scores", "classes": list(model.classes)},
        )
        name = f"{folder.name}/{number:05}.safetensors"
        write_whole(folder.parent / name, data)
        shards.append({"path": name, "sha256": weights.sha256(data), "n_items": len(items[part])})
        check()
    write_whole(folder.parent / _INDEX, json.dumps({"shards": shards}).encode())
    for other in folder.parent.glob("scores-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def read_proba(model: ModelVersion) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Items and probabilities as `store_proba` left them; None where they are not there or not whole."""
    from learning.algorithms import weights

    try:
        index = json.loads((_folder(model) / _INDEX).read_bytes())
        parts = [
            weights.unpack((_folder(model) / shard["path"]).read_bytes(), shard["sha256"])[0]
            for shard in index["shards"]
        ]
    except (OSError, ValueError):
        return None
    items = np.concatenate([part["items"] for part in parts])
    return items, np.concatenate([part["proba"] for part in parts]).astype(np.float64)


def list_proba_shards(model: ModelVersion) -> list[Path]:
    """The shards of probabilities that count, as they were written; items ascend from shard to shard."""
    try:
        index = json.loads((_folder(model) / _INDEX).read_bytes()) if model.path else {"shards": []}
    except (OSError, ValueError):
        return []
    return [_folder(model) / shard["path"] for shard in index["shards"]]


def sizes_of(model: ModelVersion) -> tuple[int | None, int | None]:
    """Bytes of a model's weights and of the probabilities beside them; None where it has none here."""
    if not model.path:
        return None, None
    weights = Path(settings.MODEL_DIR) / model.path
    shards = list(_folder(model).glob("scores-*/*.safetensors"))
    return (
        weights.stat().st_size if weights.is_file() else None,
        sum(shard.stat().st_size for shard in shards) if shards else None,
    )


def as_stored(proba: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities as `read_proba` gives them back: who goes on from the files chooses as the first would have."""
    return proba.astype(np.float32).astype(np.float64)


def remove_strays(model: ModelVersion) -> None:
    """Remove what attempts that were cut off left beside a model's files: unfinished ones, weights that do not count.

    To be called by an attempt that owns its job.
    """
    if model.path:
        folder = _folder(model)
        for path in (*folder.glob(".incoming-*"), *folder.glob("model-*.safetensors")):
            if path.name != Path(model.path).name:
                path.unlink(missing_ok=True)


def remove_proba(model: ModelVersion) -> None:
    """Remove the shards of a model that is not the current one; its weights stay."""
    if model.path:
        with contextlib.suppress(OSError):
            (_folder(model) / _INDEX).unlink(missing_ok=True)
        for folder in _folder(model).glob("scores-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _folder(model: ModelVersion) -> Path:
    return (Path(settings.MODEL_DIR) / model.path).parent
