"""Shards: files of items and their rows of one kind of feature, under FEATURE_DIR.

`PROJECT/FOLDER/SHA.safetensors` holds up to 50,000 items: their ids, ascending, a mark for each, and their rows, as a
sparse or a dense matrix. `index.json` beside them names the shards that count by their digests; it is written last, by
an attempt that still owns its job. All of it can be made anew from the items: what is absent, was changed, or belongs
to another version of the code is made again, and nothing of it is in a backup. Files are mapped, not read: of a pool
larger than the memory, the system keeps in memory what it can.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from annotation.durable import write_whole
from learning.features.counting import narrow

if TYPE_CHECKING:
    from scipy import sparse

SHARD = 50_000
BLOCK = 10_000
# Numbers in a dense shard: as float32, in each of four threads, they take 32 MB.
MAX_CELLS = 2**23
INDEX = "index.json"

Ids = NDArray[np.int64]


class UnusableShardError(Exception):
    """A shard that is not there, or not as it was written."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of items.

    Attributes
    ----------
    items : ndarray of int64, (n_items,)
    marks : ndarray of whole numbers, (n_items,)
        What the kind of feature wants to know of an item besides; 0 for an item that has no row.
    matrix : csr_matrix or ndarray, (n_items, n_columns)
    """

    items: Ids
    marks: NDArray[Any]
    matrix: sparse.csr_matrix | NDArray[Any]

    def __len__(self) -> int:
        return len(self.items)

    def take(self, is_wanted: NDArray[np.bool_]) -> Rows:
        """Some of them."""
        if is_wanted.all():
            return self
        return Rows(self.items[is_wanted], self.marks[is_wanted], self.matrix[is_wanted])


class Making(Protocol):
    """How rows are made of items, and where they lie."""

    is_sparse: bool
    # Items to a file: few where making a row takes long, so that little is lost with a kill.
    n_at_most: int

    @property
    def folder(self) -> Path:
        """For these rows alone."""
        ...

    @property
    def n_columns(self) -> int:
        """The width of the matrix."""
        ...

    def wanted(self) -> tuple[Ids, NDArray[Any] | None]:
        """The items that are to have a row, ascending; and their marks, where a row with another one is out of date."""
        ...

    def make(self, blocks: Sequence[Ids]) -> Iterator[Rows]:
        """Rows of each block of items in turn; fewer than asked for where an item cannot be had now."""
        ...


@dataclass(frozen=True, eq=False)
class Shard:
    """One file. The arrays of its rows lie in it."""

    path: str
    sha256: str
    rows: Rows

    @property
    def items(self) -> Ids:
        return self.rows.items

    def select(self, items: Ids) -> tuple[NDArray[np.int64], Rows]:
        """Which of the items (ascending, each once) are in here: their places in `items`, and their rows."""
        if not len(items) or items[-1] < self.items[0] or items[0] > self.items[-1]:
            return np.zeros(0, np.int64), self.rows.take(np.zeros(len(self.items), bool))
        places = np.searchsorted(items, self.items)
        places[places == len(items)] = 0
        is_asked = items[places] == self.items
        return places[is_asked], self.rows.take(is_asked)


class ShardList:
    """The rows of a project's items of one kind, as `refresh` found or made them."""

    def __init__(self, shards: Sequence[Shard], n_columns: int, *, is_sparse: bool) -> None:
        self.shards, self.n_columns, self.is_sparse = list(shards), n_columns, is_sparse

    @property
    def items(self) -> Ids:
        """All items that have a row; they ascend within each shard."""
        return np.concatenate([np.zeros(0, np.int64), *(shard.items for shard in self.shards)])

    def marks_of(self, items: Ids) -> NDArray[np.int64]:
        """The marks of items (ascending, each once); 0 for one that has no row."""
        marks = np.zeros(len(items), np.int64)
        for shard in self.shards:
            places = np.searchsorted(items, shard.items)
            is_known = places < len(items)
            is_known[is_known] &= items[places[is_known]] == shard.items[is_known]
            marks[places[is_known]] = shard.rows.marks[is_known]
        return marks

    def gather(self, items: Ids) -> Rows:
        """The rows of items, in their order; one that has none (it was erased meanwhile) gets zeros."""
        from scipy import sparse

        order = np.argsort(items)
        ascending = items[order]
        found = [(places, rows) for places, rows in (shard.select(ascending) for shard in self.shards) if len(places)]
        marks = np.zeros(len(items), np.int64)
        if not self.is_sparse:
            dtype = self.shards[0].rows.matrix.dtype if self.shards else np.uint8
            matrix = np.zeros((len(items), self.n_columns), dtype)
            for places, rows in found:
                matrix[order[places]], marks[order[places]] = rows.matrix, rows.marks
            return Rows(items, marks, matrix)
        absent = np.ones(len(items), bool)
        absent[np.concatenate([np.zeros(0, np.int64), *(places for places, _rows in found)])] = False
        parts = [(places, rows.matrix) for places, rows in found]
        if absent.any() or not parts:
            parts.append((np.flatnonzero(absent), self.make_empty(int(absent.sum()))))
        for places, rows in found:
            marks[order[places]] = rows.marks
        # The row of each item, in the order of `items`.
        row = np.empty(len(items), np.int64)
        row[order[np.concatenate([places for places, _part in parts])]] = np.arange(len(items))
        whole = parts[0][1] if len(parts) == 1 else sparse.vstack([part for _places, part in parts], format="csr")
        return Rows(items, marks, whole[row])

    def make_empty(self, n: int) -> Any:
        """Rows of `n` items of which nothing is known."""
        from scipy import sparse

        if self.is_sparse:
            return sparse.csr_matrix((n, self.n_columns), dtype=np.uint8)
        return np.zeros((n, self.n_columns), np.uint8)


# --- Bringing up to date ---------------------------------------------------------------------------------------------

Told = Callable[[int, int], Any]


def refresh(
    store: Making,
    check: Callable[[], Any],
    told: Told = lambda _done, _total: None,
    opened: Iterable[Shard] | None = None,
) -> ShardList:
    """Make the rows that are not there, drop those that may not be used any more.

    `check` is the job's: the index is written by the attempt that owns it. What an attempt has made before it was cut
    off, the next one finds. `told` gets the items made so far and all that are to be made. `opened`: what
    `read_shards` gave of the store's folder a moment ago; None: look now.
    """
    folder, (wanted, marks) = store.folder, store.wanted()
    present = read_shards(folder) if opened is None else opened
    kept = [left for left in (_without(folder, shard, wanted, marks) for shard in present) if left]
    if [shard.sha256 for shard in kept] != _read_index(folder):
        _write_index(folder, kept, check)
    _sweep(folder, kept, check)
    having = ShardList(kept, store.n_columns, is_sparse=store.is_sparse).items
    missing = wanted[~is_among(wanted, having)]
    for shards in _add(store, kept, missing, told):
        kept = shards
        _write_index(folder, kept, check)
    if len(missing):
        _sweep(folder, kept, check)
    return ShardList(kept, store.n_columns, is_sparse=store.is_sparse)


def is_among(items: Ids, others: Ids) -> NDArray[np.bool_]:
    """Which of the items are among others; each occurs once."""
    if not len(others):
        return np.zeros(len(items), bool)
    ascending = np.sort(others)
    places = np.searchsorted(ascending, items)
    places[places == len(ascending)] = 0
    return np.asarray(ascending[places] == items)


def _without(folder: Path, shard: Shard, wanted: Ids, marks: NDArray[Any] | None) -> Shard | None:
    """The shard without the rows that are not wanted any more; None where none is left."""
    is_kept = is_among(shard.items, wanted)
    if marks is not None and len(wanted):
        places = np.minimum(np.searchsorted(wanted, shard.items), len(wanted) - 1)
        is_kept &= marks[places] == shard.rows.marks
    if is_kept.all():
        return shard
    return write_shard(folder, shard.rows.take(is_kept)) if is_kept.any() else None


def _add(store: Making, kept: Sequence[Shard], missing: Ids, told: Told) -> Iterator[list[Shard]]:
    """Shards with the missing items too, after each shard that was written. A shard that is not full is filled up."""
    shards = list(kept)
    most = min(SHARD, store.n_at_most)
    if not store.is_sparse:
        most = max(1, min(most, MAX_CELLS // max(1, store.n_columns)))
    open_shard = shards.pop() if shards and len(missing) and len(shards[-1].items) < most else None
    first = most - (len(open_shard.items) if open_shard else 0)
    cuts = {*range(first, len(missing), most), len(missing)}
    ends = sorted({0, *cuts, *range(0, len(missing), BLOCK)})
    blocks = [missing[start:end] for start, end in pairwise(ends)]
    gathered = [] if open_shard is None else [open_shard.rows]
    n_asked = 0
    for block, rows in zip(blocks, store.make(blocks), strict=True):
        gathered.append(rows)
        n_asked += len(block)
        if n_asked in cuts:
            merged = _merge(gathered)
            gathered = []
            if len(merged):
                shards = [*shards, write_shard(store.folder, merged)]
            yield shards
        told(n_asked, len(missing))


def _merge(parts: Sequence[Rows]) -> Rows:
    from scipy import sparse

    if len(parts) == 1:
        return parts[0]
    items = np.concatenate([part.items for part in parts])
    marks = np.concatenate([part.marks for part in parts])
    matrices = [part.matrix for part in parts]
    matrix = sparse.vstack(matrices, format="csr") if sparse.issparse(matrices[0]) else np.concatenate(matrices)
    order = np.argsort(items)
    if (order == np.arange(len(order))).all():
        return Rows(items, marks, matrix)
    return Rows(items[order], marks[order], matrix[order])


# --- Files -----------------------------------------------------------------------------------------------------------


def _read_index(folder: Path) -> list[str]:
    """The digests of the shards; empty where there is none."""
    try:
        return [str(digest) for digest in json.loads((folder / INDEX).read_bytes())["shards"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _write_index(folder: Path, shards: Sequence[Shard], check: Callable[[], Any]) -> None:
    """Make these the shards that count, unless another attempt has taken over."""
    with transaction.atomic():
        check()
        write_whole(folder / INDEX, json.dumps({"shards": [shard.sha256 for shard in shards]}).encode())


def _sweep(folder: Path, shards: Sequence[Shard], check: Callable[[], Any]) -> None:
    """Remove all else that lies in the folder: what was replaced, or left by a kill."""
    if not folder.is_dir():
        return
    kept = {INDEX, *(shard.path for shard in shards)}
    with transaction.atomic():
        check()
        for path in folder.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)


def write_shard(folder: Path, rows: Rows) -> Shard:
    """Write a shard of items, ascending; it counts once the index names it."""
    from scipy import sparse

    from learning.algorithms import weights

    arrays: dict[str, NDArray[Any]] = {"items": rows.items, "marks": rows.marks}
    matrix: Any = rows.matrix
    if sparse.issparse(matrix):
        arrays |= {
            "data": narrow(matrix.data),
            "indices": matrix.indices.astype(np.int32),
            "indptr": matrix.indptr.astype(np.int64),
        }
    else:
        arrays["dense"] = matrix
    data = weights.pack(arrays, {"kind": "features", "n_columns": matrix.shape[1]})
    digest = weights.sha256(data)
    write_whole(folder / f"{digest}.safetensors", data)
    return open_shard(folder, digest)


def read_shards(folder: Path) -> Iterator[Shard]:
    """The shards that count and are whole."""
    for digest in _read_index(folder):
        try:
            yield open_shard(folder, digest)
        except UnusableShardError:
            continue


def open_shard(folder: Path, digest: str) -> Shard:
    """Map a shard, after a look at its digest. Raises UnusableShardError."""
    from scipy import sparse

    name = f"{digest}.safetensors"
    try:
        with (folder / name).open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise UnusableShardError(name) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise UnusableShardError(name)
    arrays, card = view(data)
    n, width = len(arrays["items"]), card["n_columns"]
    if "dense" in arrays:
        matrix: Any = arrays["dense"].reshape(n, width)
    else:
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        matrix = sparse.csr_matrix(parts, shape=(n, width), copy=False)
    return Shard(name, digest, Rows(arrays["items"], arrays["marks"], matrix))


_TYPES = {
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "I32": np.int32,
    "I64": np.int64,
    "F32": np.float32,
}


def view(data: mmap.mmap | bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
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
