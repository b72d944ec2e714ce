"""Which labels meet: against Krippendorff's published table, and each label against the rest."""

from __future__ import annotations

import numpy as np
import pytest

from reviewers.algorithms.agreement import CountVectors, LabelTable, count_vectors, krippendorff_alpha
from reviewers.algorithms.coincidences import coincidence_matrix, items_with_both, one_against_rest

# Krippendorff (2011), sections C and D: 4 observers, 12 units, 0 where there is no value.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]


def published() -> CountVectors:
    annotator, item = np.indices((4, 12)).reshape(2, -1)
    return count_vectors(LabelTable.from_codes(item, annotator, np.ravel(OBSERVERS) - 1, n_values=5))


def test_coincidences_are_the_published_ones() -> None:
    third = 1 / 3
    wanted = [
        [7, 4 * third, third, third, 0],
        [4 * third, 10, 4 * third, third, 0],
        [third, 4 * third, 8, third, 0],
        [third, third, third, 4, 0],
        [0, 0, 0, 0, 3],
    ]
    found = coincidence_matrix(published())
    assert found == pytest.approx(np.array(wanted))
    assert found.sum(axis=1) == pytest.approx([9, 13, 10, 5, 3])


def test_alpha_follows_from_the_coincidences() -> None:
    matrix = coincidence_matrix(published())
    n, totals = matrix.sum(), matrix.sum(axis=1)
    observed, expected = n - np.trace(matrix), (n * n - totals @ totals) / (n - 1)
    assert 1 - observed / expected == pytest.approx(krippendorff_alpha(published()))


def test_items_with_both_labels_are_counted_once_each() -> None:
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 3, (200, 4))
    vectors = CountVectors.from_counts(rows)
    used = rows[rows.sum(axis=1) > 1]
    for a in range(4):
        for b in range(4):
            wanted = ((used[:, a] > 1) if a == b else (used[:, a] > 0) & (used[:, b] > 0)).sum()
            assert items_with_both(vectors)[a, b] == wanted


def test_one_label_against_the_rest_is_the_alpha_of_two_values() -> None:
    annotator, item = np.indices((4, 12)).reshape(2, -1)
    values = np.ravel(OBSERVERS)
    two = np.where(values == 0, -1, (values == 2).astype(int))
    wanted = krippendorff_alpha(LabelTable.from_codes(item, annotator, two, n_values=2))
    both = one_against_rest(published(), [False, True, False, False, False])
    assert krippendorff_alpha(both) == pytest.approx(wanted)
    assert (both.n_annotators, both.n_labels) == (4, 40)


def test_nothing_in_gives_nothing_out() -> None:
    empty = CountVectors.from_counts(np.zeros((0, 3), np.int64))
    assert coincidence_matrix(empty).sum() == 0
    assert items_with_both(empty).sum() == 0
    assert one_against_rest(empty, [True, False, False]).n_labels == 0
