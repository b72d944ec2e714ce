"""Working ahead: the next batch is made while the one before it is stored."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from django.utils import translation

T = TypeVar("T")


def read_ahead(source: Iterator[T]) -> Generator[T]:
    """Yield what `source` yields, each made in a thread while the caller works on the one before it.

    One is made ahead, no more. What `source` raises is raised here, in its turn. The source must not ask the database:
    a thread has a connection of its own, which does not see what this one's transaction has written.
    """
    language = translation.get_language()

    def make() -> list[T]:
        with translation.override(language):  # of a thread's own: in which faults are told
            return list(islice(source, 1))

    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        coming = pool.submit(make)
        while made := coming.result():
            coming = pool.submit(make)
            yield made[0]
