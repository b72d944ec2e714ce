"""Counting the words, or runs of characters, of many items: here, or in processes of their own while they are wanted.

Counting holds the interpreter's lock, so threads would not help. A process is this module, run as a program: it reads
blocks from its standard input and writes what it counted to its standard output, and ends when the input does, as it
does when whoever started it is killed. It has no database and knows no project. (`multiprocessing` refuses to work in
Celery's own processes, and a fork would copy the heartbeat's locks.)
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

HAS_TEXT, HAS_IMAGE = 1, 2
MAX_PROCESSES = 4
MIN_BLOCKS = 4  # a process takes seconds to start
# What people wait for goes first: labelling is done on the same machine.
NICENESS = 10
_LENGTH = 8

Payload = bytes | None  # the parts of an item, as JSON


@dataclass(frozen=True, eq=False)
class Counted:
    """Words, or runs of characters, of items.

    Attributes
    ----------
    kinds : ndarray of uint8, (n_items,)
        HAS_TEXT, HAS_IMAGE, their sum, or 0.
    words : csr_matrix of uint8, uint16 or uint32, (n_items, n_columns)
        As `count_words` or `count_characters` count them, in the smallest type that holds them all.
    """

    kinds: NDArray[np.uint8]
    words: sparse.csr_matrix

    def __len__(self) -> int:
        return len(self.kinds)


def read_parts(payload: Payload) -> list[dict[str, Any]]:
    """An item's parts as they are stored; none where it was erased."""
    parts: list[dict[str, Any]] = json.loads(payload) if payload else []
    return parts


def read_texts(parts: Sequence[dict[str, Any]]) -> str | None:
    """An item's target texts as one; None where it has none."""
    texts = [part["text"] for part in parts if part["role"] == "target" and part["kind"] == "text"]
    return "\n".join(texts) if texts else None


def read_text(payload: Payload) -> str:
    """An item's target texts as one, of its parts as they are stored; empty where it has none (any more)."""
    return read_texts(read_parts(payload)) or ""


def read_images(parts: Sequence[dict[str, Any]]) -> list[str]:
    """The digests of an item's target images."""
    return [part["media"] for part in parts if part["role"] == "target" and part["kind"] == "image"]


def count_payloads(payloads: Sequence[Payload], what: str = "words") -> Counted:
    """Count words or characters (`COUNTERS`) of items, of which None has no content (any more)."""
    from learning.algorithms.features.texts import COUNTERS

    kinds, texts = np.zeros(len(payloads), np.uint8), []
    for number, payload in enumerate(payloads):
        parts = read_parts(payload)
        text = read_texts(parts)
        kinds[number] = (text is not None) * HAS_TEXT + bool(read_images(parts)) * HAS_IMAGE
        texts.append(text or "")
    words = COUNTERS[what](texts)
    words.sort_indices()
    words.data = narrow(words.data)
    return Counted(kinds, words)


def narrow(counts: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers from 0 up in the smallest type that holds them."""
    most = counts.max(initial=0)
    return counts.astype(np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.uint32)


# --- In processes of their own ---------------------------------------------------------------------------------------


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_processes(n_blocks: int) -> int:
    """How many processes to count in: one less than there are cores, and none where there is little to count."""
    return 0 if n_blocks < MIN_BLOCKS else min(MAX_PROCESSES, count_cores() - 1)


def count_blocks(blocks: Iterable[Sequence[Payload]], n_processes: int, what: str = "words") -> Iterator[Counted]:
    """Count block after block, in their order, in `n_processes` processes; 0: in this one.

    Raises RuntimeError where a process ended early.
    """
    if n_processes < 1:
        yield from (count_payloads(block, what) for block in blocks)
        return
    with _open_processes(n_processes, what) as idle, ThreadPoolExecutor(n_processes) as threads:

        def count(block: Sequence[Payload]) -> Counted:
            process = idle.get()
            try:
                return _ask(process, block)
            finally:
                idle.put(process)

        under_way: deque[Future[Counted]] = deque()
        for block in blocks:
            under_way.append(threads.submit(count, block))
            if len(under_way) > n_processes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


Processes = queue.SimpleQueue["subprocess.Popen[bytes]"]


@contextlib.contextmanager
def _open_processes(n: int, what: str) -> Iterator[Processes]:
    """Processes that wait for blocks; at the end they are gone, whatever happened."""
    own = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    started = []
    try:
        for _number in range(n):
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "learning.features.counting", what],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=Path(__file__).parents[2],
                    env={**os.environ, **own},
                )
            )
        idle: Processes = queue.SimpleQueue()
        for process in started:
            idle.put(process)
        yield idle
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _ask(process: subprocess.Popen[bytes], block: Sequence[Payload]) -> Counted:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process that counts has no pipes")
    # No JSON has a zero byte in it, and none is empty.
    write_message(process.stdin, b"\0".join(payload or b"" for payload in block))
    kinds = read_message(process.stdout)
    data, indices, indptr, shape = (read_message(process.stdout) for _part in range(4))
    if kinds is None or data is None or indices is None or indptr is None or shape is None:
        raise RuntimeError("a process that counts words has ended early; its log says why")
    from scipy import sparse

    width = int.from_bytes(shape[:_LENGTH], "little")
    return Counted(
        np.frombuffer(kinds, np.uint8),
        sparse.csr_matrix(
            (
                np.frombuffer(data, np.dtype(shape[_LENGTH:].decode())),
                np.frombuffer(indices, np.int32),
                np.frombuffer(indptr, np.int32),
            ),
            shape=(len(kinds), width),
        ),
    )


def serve(source: IO[bytes], target: IO[bytes], what: str) -> None:
    """Count the blocks that come in, until no more do."""
    while (block := read_message(source)) is not None:
        counted = count_payloads([payload or None for payload in block.split(b"\0")], what)
        words = counted.words
        write_message(target, counted.kinds.tobytes())
        write_message(target, words.data.tobytes())
        write_message(target, words.indices.astype(np.int32).tobytes())
        write_message(target, words.indptr.astype(np.int32).tobytes())
        write_message(target, words.shape[1].to_bytes(_LENGTH, "little") + words.data.dtype.str.encode())
        target.flush()


def write_message(target: IO[bytes], data: bytes) -> None:
    """Length, then bytes: what goes through the pipes."""
    target.write(len(data).to_bytes(_LENGTH, "little"))
    target.write(data)
    target.flush()


def read_message(source: IO[bytes]) -> bytes | None:
    """The next message; None at the end."""
    head = source.read(_LENGTH)
    if len(head) < _LENGTH:
        return None
    size = int.from_bytes(head, "little")
    data = source.read(size)
    return data if len(data) == size else None


if __name__ == "__main__":
    os.nice(NICENESS)
    serve(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1])
