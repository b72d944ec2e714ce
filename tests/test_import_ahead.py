"""Batches are made in a thread while others are stored: in order, one ahead, and with every fault in its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from django.utils import translation

from annotation.importing.ahead import read_ahead
from annotation.importing.decompression import ImportFileError


def test_everything_comes_once_and_in_order() -> None:
    assert list(read_ahead(iter(range(100)))) == list(range(100))
    assert list(read_ahead(iter([]))) == []


def test_what_is_false_is_no_end() -> None:
    assert list(read_ahead(iter([0, None, [], 1]))) == [0, None, [], 1]


def test_the_next_one_is_made_while_this_one_is_worked_on() -> None:
    made: list[int] = []
    is_second_made = threading.Event()

    def source() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 1:
                is_second_made.set()
            yield number

    with closing(read_ahead(source())) as coming:
        assert next(coming) == 0
        assert is_second_made.wait(5)
        assert made == [0, 1]


def test_a_fault_comes_after_what_was_made_before_it() -> None:
    def source() -> Iterator[int]:
        yield from (1, 2)
        raise ImportFileError("The file ends early.")

    seen = []
    coming = read_ahead(source())
    seen.append(next(coming))
    seen.append(next(coming))
    with pytest.raises(ImportFileError, match="ends early"):
        next(coming)
    assert seen == [1, 2]


def test_nothing_more_is_made_once_the_caller_has_stopped() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    with closing(read_ahead(source())) as coming:
        next(coming)
    assert len(made) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_the_language_is_the_callers() -> None:
    with translation.override("de"):
        assert list(read_ahead(translation.get_language() for _ in range(1))) == ["de"]
