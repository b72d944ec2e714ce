"""Agreement against published numbers, the `krippendorff` package, reference figures on real files, and its limits."""

from __future__ import annotations

import ast
import csv
import doctest
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reviewers.algorithms import agreement, bootstrap, distances, figures, labels
from reviewers.algorithms.agreement import (
    COEFFICIENTS,
    DISTANCES,
    CountVectors,
    InsufficientOverlapError,
    LabelTable,
    agreement_of,
    choice_tables,
    count_vectors,
    krippendorff_alpha,
    label_sets,
    raw_agreement,
    set_table,
)
from reviewers.algorithms.figures import Figure

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not beside this checkout")

# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, sections C and D: 4 observers, 12 units.
OBSERVERS_4X12 = "123321412...", "1233224125.3", ".3332342251.", "12332441251."
# The encyclopedia's worked example: 3 coders, 15 units.
CODERS_3X15 = ".....34121133.3", "1.213343.......", "..21344.21133.4"
# The same note, sections A and B.
BINARY_2X10 = "0100000010", "1110010000"
NOMINAL_2X12 = "aabbdcccedda", "babbbccceddd"
# The textbook table for Fleiss' kappa: 14 raters, 10 subjects, 5 categories, as counts.
FLEISS_10X14 = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def table_of(rows: Sequence[str], symbols: str) -> LabelTable:
    """A published matrix, one row an observer; a dot is a gap."""
    value = np.array([[symbols.find(symbol) for symbol in row] for row in rows])
    annotator, item = np.indices(value.shape)
    return LabelTable.from_codes(item.ravel(), annotator.ravel(), value.ravel(), len(symbols))


def matrix_of(table: LabelTable, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The annotators x items matrix that the oracle wants, nan where there is no label."""
    matrix = np.full((table.annotator.max() + 1, table.item.max() + 1), np.nan)
    matrix[table.annotator, table.item] = values[table.value]
    return matrix


def read_rows(name: str, delimiter: str) -> list[list[str]]:
    with lzma.open(DATA / name, "rt", encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def codes_of(names: Sequence[Any]) -> NDArray[np.int64]:
    return np.unique(np.array(names), return_inverse=True)[1].ravel()


def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.mark.parametrize(
    ("distance", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha_of_four_observers_is_the_published_one(distance: agreement.Distance, published: float) -> None:
    table = table_of(OBSERVERS_4X12, "12345")
    assert round(krippendorff_alpha(table, distance, [1, 2, 3, 4, 5]), 3) == published


@pytest.mark.parametrize(("distance", "published"), [("nominal", 0.691), ("interval", 0.811)])
def test_alpha_of_three_coders_is_the_published_one(distance: agreement.Distance, published: float) -> None:
    assert round(krippendorff_alpha(table_of(CODERS_3X15, "1234"), distance), 3) == published


def test_alpha_of_two_observers_binary_is_the_published_one() -> None:
    assert round(krippendorff_alpha(table_of(BINARY_2X10, "01")), 3) == 0.095


def test_alpha_of_two_observers_nominal_is_the_published_one() -> None:
    assert round(krippendorff_alpha(table_of(NOMINAL_2X12, "abcde")), 3) == 0.692


def test_raw_agreement_is_the_observed_agreement_of_fleiss() -> None:
    vectors = CountVectors.from_counts(FLEISS_10X14)
    assert round(raw_agreement(vectors), 3) == 0.378
    assert round(krippendorff_alpha(vectors), 6) == 0.215574


@pytest.mark.parametrize("distance", DISTANCES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_values=st.integers(2, 6))
def test_alpha_is_that_of_the_krippendorff_package(distance: agreement.Distance, seed: int, n_values: int) -> None:
    random = np.random.default_rng(seed)
    value = random.integers(-1, n_values, size=(4, 15))
    value[:2, :2] = [[0, 1], [1, 0]]  # two classes and an overlap, whatever was drawn
    annotator, item = np.indices(value.shape)
    table = LabelTable.from_codes(item.ravel(), annotator.ravel(), value.ravel(), n_values)
    values = np.sort(random.choice(50, n_values, replace=False) + 1.0)
    oracle = krippendorff.alpha(matrix_of(table, values), level_of_measurement=distance, value_domain=list(values))
    assert krippendorff_alpha(table, distance, values) == pytest.approx(oracle, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_row_order_and_id_coding_change_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    value = random.integers(0, 4, size=(3, 12))
    annotator, item = (index.ravel() for index in np.indices(value.shape))
    order = random.permutation(value.size)
    plain = LabelTable.from_codes(item, annotator, value.ravel(), 4)
    other_items = random.choice(10**9, 12, replace=False)
    other_annotators = random.choice(10**9, 3, replace=False) - 500
    coded = LabelTable.from_codes(other_items[item][order], other_annotators[annotator][order], value.ravel()[order], 4)
    assert agreement_of(plain, rng=rng(), distances=DISTANCES) == agreement_of(coded, rng=rng(), distances=DISTANCES)


@pytest.mark.parametrize("n_items", [20, 300])  # about 100 and 7 labels an item
@pytest.mark.parametrize("n_values", [1, 2, 5, 60, 700])
def test_count_vectors_hold_every_vote(n_values: int, n_items: int) -> None:
    random = rng()
    item, value = random.integers(0, n_items, 2000), random.integers(0, n_values, 2000)
    table = LabelTable.from_codes(item, np.arange(2000), value, n_values)
    dense = np.zeros((n_items, n_values), np.int64)
    np.add.at(dense, (item, value), 1)
    counted, expected = count_vectors(table), CountVectors.from_counts(dense)
    as_rows = np.repeat(counted.counts, counted.n_items, axis=0)
    expected_rows = np.repeat(expected.counts, expected.n_items, axis=0)
    np.testing.assert_array_equal(as_rows[np.lexsort(as_rows.T)], expected_rows[np.lexsort(expected_rows.T)])
    np.testing.assert_array_equal(counted.singles, expected.singles)
    assert len(np.unique(counted.counts, axis=0)) == len(counted.counts)


def test_very_many_votes_on_one_item_are_counted() -> None:
    value = np.repeat([0, 16, 5, 16], [30_001, 40_000, 1, 1])
    item = np.repeat([0, 1], [70_001, 2])
    vectors = count_vectors(LabelTable.from_codes(item, np.arange(70_003), value, 17))
    assert vectors.n_items.tolist() == [1, 1]
    assert sorted(vectors.counts[:, [0, 5, 16]].tolist()) == [[0, 1, 1], [30_001, 0, 40_000]]
    assert vectors.n_labels == 70_003


def test_items_with_one_label_are_counted_apart() -> None:
    table = LabelTable.from_codes([4, 4, 9, 9, 2, 3], [0, 1, 0, 1, 2, 2], [0, 0, 1, 0, 2, 2], n_values=3)
    from_table, from_counts = (
        count_vectors(table),
        CountVectors.from_counts([[2, 0, 0], [1, 1, 0], [0, 0, 1]], [1, 1, 2]),
    )
    assert from_table.singles.tolist() == from_counts.singles.tolist() == [0, 0, 2]
    assert sorted(from_table.counts.tolist()) == from_counts.counts.tolist() == [[1, 1, 0], [2, 0, 0]]
    assert from_table.n_annotators == 2


@pytest.mark.parametrize("seed", range(3))
def test_figures_do_not_depend_on_what_is_counted_first(seed: int) -> None:
    random = np.random.default_rng(seed)
    counts = random.multinomial(4, [0.6, 0.3, 0.1], size=50)
    table = LabelTable.from_codes(
        np.repeat(np.arange(50), 4), np.tile(np.arange(4), 50), np.repeat(np.tile(np.arange(3), 50), counts.ravel()), 3
    )
    one, other = (
        agreement_of(labels, rng=rng(), distances=DISTANCES) for labels in (table, CountVectors.from_counts(counts))
    )
    assert [figure.value for figure in one] == pytest.approx([figure.value for figure in other], abs=1e-12)


def test_last_label_of_a_person_who_repeats_counts() -> None:
    table = LabelTable.from_codes([0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 0, 1], n_values=2)
    assert (table.item.tolist(), table.annotator.tolist(), table.value.tolist()) == ([0, 1, 0], [1, 0, 0], [1, 0, 1])
    assert raw_agreement(table) == 1.0


@pytest.mark.parametrize("n_annotators", [3, 30])
@pytest.mark.parametrize("is_in_order", [True, False])
@pytest.mark.parametrize("repeated", range(6))
def test_repeats_are_found_wherever_they_stand(n_annotators: int, is_in_order: bool, repeated: int) -> None:
    """Few and many labels an item, rows by item and not; one label is given twice, the last time with a 1."""
    item, annotator = np.repeat(np.arange(6), n_annotators), np.tile(np.arange(n_annotators), 6)
    first = repeated * n_annotators
    item, annotator = np.insert(item, first + n_annotators, repeated), np.insert(annotator, first + n_annotators, 0)
    value = np.zeros(len(item), np.int64)
    value[first + n_annotators] = 1
    order = {True: np.arange(len(item)), False: np.argsort(annotator, kind="stable")}[is_in_order]
    table = LabelTable.from_codes(item[order], annotator[order], value[order], n_values=2)
    assert len(table.item) == 6 * n_annotators
    assert (table.item[table.value == 1].tolist(), table.annotator[table.value == 1].tolist()) == ([repeated], [0])


def test_items_with_one_label_do_not_matter() -> None:
    table = LabelTable.from_codes([0, 0, 1, 1, 2], [0, 1, 0, 1, 2], [0, 0, 1, 0, 1], n_values=2)
    without = LabelTable.from_codes([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0], n_values=2)
    assert agreement_of(table, rng=rng()) == agreement_of(without, rng=rng())


@pytest.mark.parametrize("distance", DISTANCES)
def test_perfect_agreement_is_one(distance: agreement.Distance) -> None:
    assert krippendorff_alpha(CountVectors.from_counts([[3, 0, 0], [0, 5, 0], [0, 0, 2]]), distance, [1, 2, 7]) == 1.0


def test_agreement_by_chance_is_about_zero() -> None:
    value = rng().integers(0, 3, size=30_000)
    table = LabelTable.from_codes(np.repeat(np.arange(10_000), 3), np.tile(np.arange(3), 10_000), value, 3)
    assert abs(krippendorff_alpha(table)) < 0.02


def test_systematic_disagreement_is_below_zero() -> None:
    assert krippendorff_alpha(CountVectors.from_counts([[1, 1]] * 10)) < 0


def test_no_item_with_two_labels_is_an_error_of_its_own() -> None:
    table = LabelTable.from_codes([0, 1], [0, 0], [0, 1], n_values=2)
    with pytest.raises(InsufficientOverlapError, match=r"^no item has two labels$"):
        krippendorff_alpha(table)
    with pytest.raises(InsufficientOverlapError, match=r"^no item has two labels$"):
        raw_agreement(LabelTable.from_codes([], [], [], n_values=2))


def test_alpha_of_one_class_is_not_defined() -> None:
    assert np.isnan(krippendorff_alpha(CountVectors.from_counts([[3, 0], [2, 0]])))


def test_figures_refuse_without_overlap() -> None:
    found = agreement_of(LabelTable.from_codes([0, 1], [0, 0], [0, 1], n_values=2), rng=rng())
    assert [figure.refusal for figure in found] == ["no item has two labels"] * 2
    assert [figure.value for figure in found] == [None, None]


def test_figures_of_one_class_show_raw_agreement_and_refuse_alpha() -> None:
    raw, alpha = agreement_of(CountVectors.from_counts([[3, 0], [2, 0]]), rng=rng())
    assert (raw.value, raw.refusal) == (1.0, None)
    assert (alpha.value, alpha.refusal) == (None, "only 1 class occurs")


def test_figures_say_what_they_rest_on() -> None:
    table = LabelTable.from_codes([0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 9], [0, 0, 1, 1, 1, 0], n_values=2)
    for figure in agreement_of(table, rng=rng()):
        assert (figure.n_items, figure.n_labels, figure.n_annotators, figure.level) == (2, 5, 3, 0.95)


def test_ratings_bring_ordinal_and_interval_alpha() -> None:
    found = agreement_of(table_of(OBSERVERS_4X12, "12345"), rng=rng(), distances=("nominal", "ordinal", "interval"))
    assert [figure.metric for figure in found] == ["raw_agreement", "alpha_nominal", "alpha_ordinal", "alpha_interval"]
    assert [round(figure.value or 0, 3) for figure in found[1:]] == [0.743, 0.815, 0.849]


def test_intervals_hold_the_value_and_depend_on_the_seed_alone() -> None:
    vectors = CountVectors.from_counts(FLEISS_10X14)
    first = agreement_of(vectors, rng=np.random.default_rng(1), distances=DISTANCES, values=[1, 2, 3, 4, 5])
    again = agreement_of(vectors, rng=np.random.default_rng(1), distances=DISTANCES, values=[1, 2, 3, 4, 5])
    assert first == again
    for figure in first:
        assert figure.interval is not None
        assert figure.value is not None
        assert figure.interval[0] < figure.value < figure.interval[1]


def test_interval_is_that_of_resampling_items_one_by_one() -> None:
    counts = np.random.default_rng(3).multinomial(3, [0.5, 0.3, 0.2], size=200) + np.array([1, 0, 0])
    random = np.random.default_rng(4)
    alphas = [
        krippendorff_alpha(CountVectors.from_counts(counts[random.integers(0, 200, 200)]), "ordinal")
        for _ in range(2000)
    ]
    figure = agreement_of(CountVectors.from_counts(counts), rng=rng(), distances=["ordinal"], n_resamples=20_000)[1]
    assert figure.interval == pytest.approx(np.quantile(alphas, [0.025, 0.975]).tolist(), abs=0.01)


def test_bootstrap_in_pieces_is_the_bootstrap_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = CountVectors.from_counts([*FLEISS_10X14, *np.eye(5, dtype=int).tolist()])
    whole = agreement_of(vectors, rng=rng(), distances=DISTANCES, coefficients=COEFFICIENTS)
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 100)
    in_pieces = agreement_of(vectors, rng=rng(), distances=DISTANCES, coefficients=COEFFICIENTS)
    for one, other in zip(whole, in_pieces, strict=True):
        assert one.interval == pytest.approx(other.interval, abs=1e-12)


def test_interval_of_perfect_agreement_is_wider_with_fewer_items() -> None:
    few = agreement_of(CountVectors.from_counts([[3, 0], [0, 3]], [5, 5]), rng=rng())
    many = agreement_of(CountVectors.from_counts([[3, 0], [0, 3]], [500, 500]), rng=rng())
    # 0 of 10 split: Clopper and Pearson's upper end is .3085 (tables); alpha counts it against chance, about 1/2.
    assert few[0].interval == pytest.approx((1 - 0.3085, 1.0), abs=1e-4)
    assert few[1].interval == pytest.approx((1 - 0.3085 / (15 / 29), 1.0), abs=1e-4)
    assert many[1].interval == pytest.approx((0.9926, 1.0), abs=1e-4)


def test_too_few_resamples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^999 resamples are too few for an interval: at least 1000$"):
        agreement_of(CountVectors.from_counts([[1, 1]]), rng=rng(), n_resamples=999)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2], "values must be 3 finite numbers, one for each code"),
        ([1, 2, np.inf], "values must be 3 finite numbers, one for each code"),
        ([1, 1, 2], "values must differ from each other"),
    ],
)
def test_scale_that_does_not_fit_is_refused(values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        krippendorff_alpha(CountVectors.from_counts([[1, 1, 0]]), "interval", values)


def test_codes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^value codes must lie within 0\.\.1$"):
        LabelTable.from_codes([0], [0], [2], n_values=2)
    with pytest.raises(ValueError, match=r"^item, annotator and value must have one entry per label$"):
        LabelTable.from_codes([0, 1], [0], [0], n_values=2)
    with pytest.raises(ValueError, match=r"^expected integers in 1 dimension, got float64 in 1$"):
        LabelTable.from_codes([0.5], [0], [0], n_values=2)


def test_choices_are_compared_choice_by_choice_and_as_sets() -> None:
    # alice ticks {0, 1}, then only {0}; bob ticks {0}; carol ticks nothing.
    ticks: dict[str, Any] = {"answer": [0, 0, 1, 2], "choice": [0, 1, 0, 0], "n_choices": 3}
    tables = choice_tables([7, 7, 7, 7], [1, 1, 2, 3], **ticks)
    assert [raw_agreement(table) for table in tables] == [pytest.approx(1 / 3), 1.0, 1.0]
    assert raw_agreement(set_table([7, 7, 7, 7], [1, 1, 2, 3], **ticks)) == pytest.approx(1 / 3)


def test_answers_of_nobody_are_an_empty_table() -> None:
    table, sets = label_sets([], [], answer=[], choice=[], n_choices=2)
    assert (len(table.item), table.n_values, sets.tolist()) == (0, 1, [[False, False]])


def test_tick_that_points_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^every tick must name an answer and a choice that exist$"):
        choice_tables([0], [0], answer=[1], choice=[0], n_choices=2)


def test_figure_is_either_a_value_or_a_refusal() -> None:
    with pytest.raises(ValueError, match="either a value or a refusal"):
        Figure(metric="alpha_nominal", value=None, method="none", n_items=0, n_labels=0)


def test_figure_has_the_promised_shape() -> None:
    figure = agreement_of(CountVectors.from_counts([[2, 0], [1, 1]]), rng=rng())[0].as_dict()
    assert list(figure) == [
        "metric", "value", "interval", "level", "method", "n_items", "n_labels", "n_annotators", "refusal",
    ]  # fmt: skip


@pytest.mark.parametrize("module", [agreement, distances, figures, labels])
def test_examples_in_the_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# Reference figures on real files: computed apart from this code with the krippendorff package.


@needs_data
def test_hatecheck_alpha() -> None:
    rows = read_rows("hatecheck_all_annotations.csv.xz", ",")
    columns = [rows[0].index(f"label_{n}") for n in range(1, 11)]
    symbols = ["hateful", "non-hateful"]
    value = np.array([[([*symbols, row[c]]).index(row[c]) for c in columns] for row in rows[1:]])
    value[value == 2] = -1
    item, annotator = np.indices(value.shape)
    table = LabelTable.from_codes(item.ravel(), annotator.ravel(), value.ravel(), 2)
    assert (len(table.item), len(value)) == (19_505, 3_901)
    assert krippendorff_alpha(table) == pytest.approx(0.928516, abs=1e-6)


@needs_data
def test_convabuse_alpha_on_all_scales() -> None:
    header, *rows = read_rows("convabuse_full.csv.xz", ",")
    column = {name: index for index, name in enumerate(header)}
    levels = [-3, -2, -1, 0, 1]
    turn = codes_of(
        ["\t".join(row[column[c]] for c in ("conv_id", "prev_agent", "prev_user", "agent", "user")) for row in rows]
    )
    expert = codes_of([row[column["annotator_id"]] for row in rows])
    value = np.array([[row[column[f"is_abuse.{level}"]] for level in levels].index("1") for row in rows])
    table = LabelTable.from_codes(turn, expert, value, 5)
    assert (len(table.item), turn.max() + 1, expert.max() + 1) == (12_411, 4_185, 8)
    assert krippendorff_alpha(table) == pytest.approx(0.437632, abs=1e-6)
    assert krippendorff_alpha(table, "ordinal") == pytest.approx(0.659164, abs=1e-6)
    assert krippendorff_alpha(table, "interval", levels) == pytest.approx(0.734354, abs=1e-6)
    binary = LabelTable.from_codes(turn, expert, (value < 3).astype(int), 2)
    assert krippendorff_alpha(binary) == pytest.approx(0.652253, abs=1e-6)


@needs_data
def test_toxic_spans_alpha() -> None:
    rows = read_rows("toxic_spans_annotations.csv.xz", ",")[1:]
    value = np.array([1 if row[5] == "True" else 2 * (row[4] == "True") for row in rows])
    table = LabelTable.from_codes(codes_of([r[1] for r in rows]), codes_of([r[2] for r in rows]), value, 3)
    assert len(table.item) == 59_214
    assert krippendorff_alpha(table) == pytest.approx(0.102516, abs=1e-6)


@needs_data
@pytest.mark.parametrize(("name", "reference"), [("snow_temp", 0.223413), ("snow_wsd", 0.937200)])
def test_snow_alpha(name: str, reference: float) -> None:
    rows = read_rows(f"{name}.tsv.xz", "\t")[1:]
    worker, item, response = (codes_of([row[c] for row in rows]) for c in range(3))
    assert krippendorff_alpha(LabelTable.from_codes(item, worker, response, 3)) == pytest.approx(reference, abs=1e-6)


@needs_data
def test_barzan_alpha() -> None:
    worker, item, label = (
        codes_of(column) for column in zip(*read_rows("gal_barzan_labels.tsv.xz", "\t"), strict=True)
    )
    assert krippendorff_alpha(LabelTable.from_codes(item, worker, label, 2)) == pytest.approx(0.405937, abs=1e-6)


@needs_data
@pytest.mark.parametrize(
    ("distance", "reference"), [("nominal", 0.326568), ("ordinal", 0.559906), ("interval", 0.562206)]
)
def test_adult_content_alpha_without_broken_sites(distance: agreement.Distance, reference: float) -> None:
    workers, sites, labels = zip(*read_rows("gal_adult3_labels.tsv.xz", "\t"), strict=True)
    answered = LabelTable.from_codes(codes_of(sites), codes_of(workers), ["GPRXB".index(x) for x in labels], 5)
    is_rated = answered.value < 4
    rated = LabelTable(answered.item[is_rated], answered.annotator[is_rated], answered.value[is_rated], 4)
    assert len(rated.item) == 34_768
    assert krippendorff_alpha(rated, distance) == pytest.approx(reference, abs=1e-6)


@needs_data
def test_davidson_alpha_from_counts() -> None:
    header, *rows = read_rows("davidson_labeled_data.csv.xz", ",")
    first = header.index("hate_speech")
    counts = CountVectors.from_counts(np.array([row[first : first + 3] for row in rows]).astype(np.int64))
    unanimous = (counts.counts > 0).sum(axis=1) == 1
    assert krippendorff_alpha(counts) == pytest.approx(0.542799, abs=1e-6)
    assert counts.n_items[unanimous].sum() / counts.n_items.sum() == pytest.approx(0.705, abs=5e-4)


@needs_data
@pytest.mark.parametrize(
    ("name", "distance", "reference"),
    [
        ("tweets", "nominal", 0.271320),
        ("tweets", "ordinal", 0.787880),
        ("tweets", "interval", 0.783493),
        ("amazonReviewSnippets", "nominal", 0.358545),
        ("amazonReviewSnippets", "ordinal", 0.829190),
        ("amazonReviewSnippets", "interval", 0.820351),
    ],
)
def test_vader_alpha(name: str, distance: agreement.Distance, reference: float) -> None:
    rows = read_rows(f"vader_{name}_anonDataRatings.txt.xz", "\t")
    ratings = [np.array(ast.literal_eval(row[3])) for row in rows]
    counts = CountVectors.from_counts([np.bincount(rating + 4, minlength=9) for rating in ratings])
    assert krippendorff_alpha(counts, distance) == pytest.approx(reference, abs=1e-6)


@needs_data
def test_toxic_spans_alpha_by_character() -> None:
    """Characters are the items: an annotator marks one by any span over it, and all of them by "all toxic"."""
    texts = {row[0]: len(row[1]) for row in read_rows("toxic_spans_comments.csv.xz", ",")[1:]}
    marked: dict[str, list[slice]] = {}
    for annotation, _kind, start, end in read_rows("toxic_spans_spans.csv.xz", ",")[1:]:
        marked.setdefault(annotation, []).append(slice(int(start), int(end)))
    rows = read_rows("toxic_spans_annotations.csv.xz", ",")[1:]
    last = {(comment, worker): (annotation, all_toxic) for annotation, comment, worker, _, all_toxic, _ in rows}
    votes = {comment: np.zeros(length, np.int64) for comment, length in texts.items()}
    for (comment, _worker), (annotation, all_toxic) in last.items():
        mask = np.full(texts[comment], all_toxic == "True")
        for span in marked.get(annotation, []):
            mask[span] = True
        votes[comment] += np.where(mask, 1, 1000)
    code, n_characters = np.unique(np.concatenate(list(votes.values())), return_counts=True)
    vectors = CountVectors.from_counts(np.stack([code // 1000, code % 1000], axis=1), n_characters)
    assert len(last) == 59_214
    assert krippendorff_alpha(vectors) == pytest.approx(0.117833, abs=1e-6)
