"""A form that edits a list, one row of which is open."""

from __future__ import annotations

import pytest

from annotation.list_form import find_open, move, read_whole

ROWS = [{"name": "a"}, {"name": "b"}, {}]


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("12", 12), ("", 0), ("-1", 0), ("1.5", 0), ("²", 0), ("1" * 10, 0), ("9" * 5000, 0)]
)
def test_what_a_form_sends_is_a_small_whole_number_or_0(text: str, number: int) -> None:
    assert read_whole(text) == number


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"open": "1", "was": "b"}, 1),
        ({"open": "0", "was": "b"}, 1),  # it moved
        ({"open": "7", "was": "a"}, 0),
        ({"open": "2", "was": ""}, 2),  # it has no name yet
        ({"open": "1", "was": "c"}, None),  # it left
        ({"open": "7"}, 7),  # the form held none
        ({}, 0),
    ],
)
def test_the_open_row_is_found_by_its_name_where_it_moved(data: dict[str, str], place: int | None) -> None:
    assert find_open(data, ROWS, "name") == place


def test_rows_move_up_and_down_and_not_over_the_ends() -> None:
    rows = ["a", "b", "c"]
    moved = [move(rows, 0, 1), move(rows, 1, 1), move(rows, 2, 1), move(rows, 0, -1), move(rows, 9, -1)]
    assert moved == [1, 2, 2, 0, 9]
    assert rows == ["b", "c", "a"]
