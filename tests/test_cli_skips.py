"""The rule that CI skips nothing without leave."""

from __future__ import annotations

from tests.skips import ALLOWED, find_surplus_skips, read_allowed_patterns


def test_pattern_allows_what_it_matches_and_nothing_else() -> None:
    patterns = read_allowed_patterns("# why\n\ntests/test_a.py::test_gpu*  no such device\n")
    assert find_surplus_skips(["tests/test_a.py::test_gpu[1]", "tests/test_a.py::test_b"], patterns) == [
        "tests/test_a.py::test_b"
    ]


def test_allow_list_stays_short() -> None:
    assert len(read_allowed_patterns(ALLOWED.read_text())) <= 5
