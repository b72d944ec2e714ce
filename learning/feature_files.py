"""Counted words of a project's items, in shards under FEATURE_DIR: counted once, read by every round.

`PROJECT/words-VERSION/SHA.safetensors` holds up to 50,000 items: their ids, ascending, what kinds of part they have,
and their words as a sparse matrix. `index.json` beside them names the shards that count by their digests; it is written
last, by an attempt that still owns its job. All of it can be made anew from the items: what is absent, was changed, or
belongs to another version of the counting code is made again, and nothing of it is in a backup. Files are mapped, not
read: of a pool larger than the memory, the system keeps in memory what it can.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from numpy.typing import NDArray

from annotation.models import Project
from learning.counting import Counted, count_blocks, count_processes, narrow
from learning.loading import load_listed, load_payloads
from learning.model_files import write_whole

SHARD = 50_000
BLOCK = 10_000
_INDEX = "index.json"

Ids = NDArray[np.int64]


class _UnusableError(Exception):
    """A shard that is not there, or not as it was written."""


@dataclass(frozen=True, eq=False)
class Shard:
    """Items whose words are counted; `items` ascend. The arrays lie in the file."""

    path: str
    sha256: str
    items: Ids
    counted: Counted

    def select(self, items: Ids) -> tuple[NDArray[np.int64], Counted]:
        """Which of the items (ascending, each once) are in here: their places in `items`, and their counts."""
        if not len(items):
            return np.zeros(0, np.int64), _take(self.counted, np.zeros(len(self.items), bool))
        places = np.searchsorted(items, self.items)
        places[places == len(items)] = 0
        is_asked = items[places] == self.items
        return places[is_asked], _take(self.counted, is_asked)


class Shards:
    """The counted words of a project's items, as `refresh_shards` found or made them."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = list(shards)

    def gather(self, items: Ids) -> Counted:
        """The counts of items, in their order; one that has none (it was erased meanwhile) counts as empty."""
        from scipy import sparse

        order = np.argsort(items)
        ascending = items[order]
        places, parts = [], []
        for shard in self.shards:
            found, counted = shard.select(ascending)
            places.append(found)
            parts.append(counted)
        is_absent = np.ones(len(items), bool)
        is_absent[np.concatenate([np.zeros(0, np.int64), *places])] = False
        absent = np.flatnonzero(is_absent)
        if len(absent) or not parts:
            places.append(absent)
            parts.append(self.make_empty(len(absent)))
        # The row of each item, in the order of `items`.
        row = np.empty(len(items), np.int64)
        row[order[np.concatenate(places)]] = np.arange(len(items))
        kinds = np.concatenate([part.kinds for part in parts])[row]
        words = parts[0].words if len(parts) == 1 else sparse.vstack([part.words for part in parts], format="csr")
        return Counted(kinds, words[row])

    def make_empty(self, n: int) -> Counted:
        """Counts of `n` items without words."""
        from scipy import sparse

        from learning.algorithms.features import N_HASHED

        width = self.shards[0].counted.words.shape[1] if self.shards else N_HASHED
        return Counted(np.zeros(n, np.uint8), sparse.csr_matrix((n, width), dtype=np.uint8))


def _take(counted: Counted, is_wanted: NDArray[np.bool_]) -> Counted:
    return counted if is_wanted.all() else Counted(counted.kinds[is_wanted], counted.words[is_wanted])


# --- Bringing up to date ---------------------------------------------------------------------------------------------


def refresh_shards(
    project: Project, check: Callable[[], Any], progress: Callable[[int, int], Any] = lambda _done, _total: None
) -> Shards:
    """Count the words of the items that have not been counted, drop those that may not be used any more.

    Usable are items that are visible and neither sealed nor erased. `check` is the job's: the index is written by the
    attempt that owns it. What an attempt has made before it was cut off, the next one finds. `progress` gets the items
    counted so far and all that are to be counted.
    """
    folder = _folder(project)
    wanted = load_listed(project)
    kept = [shard for shard in (_without(folder, found, wanted) for found in _read_shards(folder)) if shard is not None]
    if [shard.sha256 for shard in kept] != _read_index(folder):
        _write_index(folder, kept, check)
    _sweep(folder, kept, check)
    counted = np.concatenate([np.zeros(0, np.int64), *(shard.items for shard in kept)])
    missing = wanted[~_is_among(wanted, counted)]
    for shards in _add(folder, kept, missing):
        kept = shards
        _write_index(folder, kept, check)
        progress(sum(len(shard.items) for shard in kept) - len(counted), len(missing))
    if len(missing):
        _sweep(folder, kept, check)
    return Shards(kept)


def _is_among(items: Ids, others: Ids) -> NDArray[np.bool_]:
    """Which of the items are among others; each occurs once."""
    if not len(others):
        return np.zeros(len(items), bool)
    ascending = np.sort(others)
    places = np.searchsorted(ascending, items)
    places[places == len(ascending)] = 0
    return np.asarray(ascending[places] == items)


def has_shards(project: Project) -> bool:
    """Whether anything is stored of the project's items."""
    return (Path(settings.FEATURE_DIR) / str(project.pk)).is_dir()


def _without(folder: Path, shard: Shard, wanted: Ids) -> Shard | None:
    """The shard without the items that are not wanted any more; None where none is left."""
    is_kept = _is_among(shard.items, wanted)
    if is_kept.all():
        return shard
    if not is_kept.any():
        return None
    return write_shard(folder, shard.items[is_kept], _take(shard.counted, is_kept))


def _add(folder: Path, kept: Sequence[Shard], missing: Ids) -> Iterator[list[Shard]]:
    """Shards with the missing items too, after each shard that was written. A shard that is not full is filled up."""
    shards = list(kept)
    open_shard = shards.pop() if shards and len(missing) and len(shards[-1].items) < SHARD else None
    first = SHARD - (len(open_shard.items) if open_shard else 0)
    cuts = [0, *range(first, len(missing), SHARD), len(missing)] if len(missing) else [0]
    ends = np.unique(np.concatenate([cuts, np.arange(0, len(missing), BLOCK)]))
    blocks = [missing[start:end] for start, end in pairwise(ends)]
    counted = count_blocks(map(load_payloads, blocks), count_processes(len(blocks)))
    gathered = [] if open_shard is None else [(open_shard.items, open_shard.counted)]
    n_gathered = 0
    for block, part in zip(blocks, counted, strict=True):
        gathered.append((block, part))
        n_gathered += len(block)
        if n_gathered in cuts:
            shards = [*shards, write_shard(folder, *_merge(gathered))]
            gathered = []
            yield shards


def _merge(parts: Sequence[tuple[Ids, Counted]]) -> tuple[Ids, Counted]:
    from scipy import sparse

    items = np.concatenate([ids for ids, _counted in parts])
    kinds = np.concatenate([counted.kinds for _ids, counted in parts])
    words = sparse.vstack([counted.words for _ids, counted in parts], format="csr")
    order = np.argsort(items)
    if (order == np.arange(len(order))).all():
        return items, Counted(kinds, words)
    return items[order], Counted(kinds[order], words[order])


# --- Files -----------------------------------------------------------------------------------------------------------


def _folder(project: Project) -> Path:
    from learning.algorithms.features import COUNTS_VERSION

    return Path(settings.FEATURE_DIR) / str(project.pk) / f"words-{COUNTS_VERSION}"


def _read_index(folder: Path) -> list[str]:
    """The digests of the shards; empty where there is none."""
    try:
        return [str(digest) for digest in json.loads((folder / _INDEX).read_bytes())["shards"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _write_index(folder: Path, shards: Sequence[Shard], check: Callable[[], Any]) -> None:
    """Make these the shards that count, unless another attempt has taken over."""
    with transaction.atomic():
        check()
        write_whole(folder / _INDEX, json.dumps({"shards": [shard.sha256 for shard in shards]}).encode())


def _sweep(folder: Path, shards: Sequence[Shard], check: Callable[[], Any]) -> None:
    """Remove all else that is stored of the project: what was replaced, made by other code, or left by a kill."""
    if not folder.parent.is_dir():
        return
    kept = {_INDEX, *(shard.path for shard in shards)}
    with transaction.atomic():
        check()
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in kept:
                path.unlink(missing_ok=True)
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)


def write_shard(folder: Path, items: Ids, counted: Counted) -> Shard:
    """Write a shard of items, ascending; it counts once the index names it."""
    from learning.algorithms import weights

    words = counted.words
    data = weights.pack(
        {
            "items": items,
            "kinds": counted.kinds,
            "data": narrow(words.data),
            "indices": words.indices.astype(np.int32),
            "indptr": words.indptr.astype(np.int64),
        },
        {"kind": "words", "n_columns": words.shape[1]},
    )
    digest = weights.sha256(data)
    write_whole(folder / f"{digest}.safetensors", data)
    return open_shard(folder, digest)


def _read_shards(folder: Path) -> Iterable[Shard]:
    for digest in _read_index(folder):
        try:
            yield open_shard(folder, digest)
        except _UnusableError:
            continue


def open_shard(folder: Path, digest: str) -> Shard:
    """Map a shard, after a look at its digest. Raises _UnusableError."""
    from scipy import sparse

    name = f"{digest}.safetensors"
    try:
        with (folder / name).open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise _UnusableError(name) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _UnusableError(name)
    arrays, card = _view(data)
    n = len(arrays["items"])
    words = sparse.csr_matrix(
        (arrays["data"], arrays["indices"], arrays["indptr"]), shape=(n, card["n_columns"]), copy=False
    )
    return Shard(name, digest, arrays["items"], Counted(arrays["kinds"], words))


_TYPES = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "I32": np.int32, "I64": np.int64}


def _view(data: mmap.mmap) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays of a safetensors file as views of its bytes, and its card. The digest was looked at before."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    card = json.loads(header.pop("__metadata__")["card"])
    arrays = {}
    for name, told in header.items():
        dtype = np.dtype(_TYPES[told["dtype"]])
        begin, end = told["data_offsets"]
        arrays[name] = np.frombuffer(data, dtype, (end - begin) // dtype.itemsize, start + begin)
    return arrays, card
