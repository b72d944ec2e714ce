"""How alike marks and rankings are: computed by hand, published examples, limits, real spans, and from the database."""

from __future__ import annotations

from math import isnan, sqrt
from typing import Any

import numpy as np
import pytest

from reviewers.algorithms.mark_agreement import (
    Box,
    Stretch,
    agreement_of_pairs,
    box_iou,
    covered_f1,
    covered_iou,
    exact_f1,
    kendall_tau,
    overlap_f1,
    paired_f1,
    paired_iou,
    spearman_rho,
)
from tests.api_client import Api
from tests.cast import MakeDesk
from tests.test_agreement import needs_data, read_rows

RNG = 5


def spans(*pieces: tuple[float, float], label: str = "x", part: str = "t") -> list[Stretch]:
    return [Stretch(part, label, start, end) for start, end in pieces]


def places(values: list[int]) -> list[list[int]]:
    """Numbers as a ranking: equal ones share a place, the least one first."""
    return [[n for n, value in enumerate(values) if value == place] for place in sorted(set(values))]


# By hand: 0-10 against 5-15 share 5 of 20 characters marked, and 5 of the 15 that either marks.
@pytest.mark.parametrize(
    ("a", "b", "exact", "partial", "covered", "iou"),
    [
        (spans((0, 10)), spans((5, 15)), 0.0, 1.0, 0.5, 1 / 3),
        (spans((0, 10)), spans((0, 10)), 1.0, 1.0, 1.0, 1.0),
        (spans((0, 10)), spans((0, 10), label="y"), 0.0, 0.0, 0.0, 0.0),
        (spans((0, 10)), spans((0, 10), part="u"), 0.0, 0.0, 0.0, 0.0),
        (spans((0, 10)), spans((10, 20)), 0.0, 0.0, 0.0, 0.0),
        (spans((0, 4), (6, 8)), spans((0, 4)), 2 / 3, 2 / 3, 0.8, 2 / 3),
        (spans((0, 4), (2, 8)), spans((0, 8)), 0.0, 1.0, 1.0, 1.0),
        ([], [], 1.0, 1.0, 1.0, 1.0),
        (spans((0, 4)), [], 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_stretches_by_hand(
    a: list[Stretch], b: list[Stretch], exact: float, partial: float, covered: float, iou: float
) -> None:
    found = [(exact_f1(p, q), overlap_f1(p, q), covered_f1(p, q), covered_iou(p, q)) for p, q in ((a, b), (b, a))]
    assert found[0] == pytest.approx((exact, partial, covered, iou))
    assert found[0] == found[1]


def test_what_is_covered_is_what_sets_of_characters_say() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        answers = []
        for _answer in range(2):
            starts = rng.integers(0, 40, rng.integers(0, 5))
            answers.append([Stretch("t", str(s % 2), int(s), int(s + 1 + s % 7)) for s in starts])
        sets = [{(one.label, n) for one in answer for n in range(int(one.start), int(one.end))} for answer in answers]
        assert covered_f1(*answers) == pytest.approx(exact_f1(*sets))


def test_boxes_by_hand() -> None:
    a, b, far = Box("p", "x", 0, 0, 2, 2), Box("p", "x", 1, 0, 2, 2), Box("p", "x", 9, 9, 1, 1)
    assert box_iou(a, b) == pytest.approx(2 / 6)
    assert box_iou(a, far) == 0.0
    assert paired_iou([a, far], [b]) == pytest.approx(1 / 6)
    assert paired_iou([], []) == 1.0
    assert paired_iou([a], []) == 0.0
    assert paired_f1([a, far], [b], 0.3) == pytest.approx(2 / 3)
    assert paired_f1([a, far], [b], 0.4) == 0.0
    assert paired_f1([Box("p", "x", 0.1, 0.2, 0.3, 0.4)], [Box("p", "x", 0.1, 0.2, 0.3, 0.4)], 1.0) == 1.0


def test_a_box_is_paired_once() -> None:
    one, near, nearer = Box("p", "x", 0, 0, 10, 10), Box("p", "x", 0, 0, 10, 8), Box("p", "x", 0, 0, 10, 9)
    assert paired_iou([one], [near, nearer]) == pytest.approx(0.9 / 2)
    assert paired_iou([near, nearer], [one]) == pytest.approx(0.9 / 2)


# The examples in scipy's documentation of kendalltau (-0.47140452079103173) and spearmanr (0.8207826816681233).
def test_published_rank_correlations() -> None:
    assert kendall_tau(places([12, 2, 1, 12, 2]), places([1, 4, 7, 1, 0])) == pytest.approx(-0.47140452079103173)
    assert spearman_rho(places([1, 2, 3, 4, 5]), places([5, 6, 7, 8, 7])) == pytest.approx(0.8207826816681233)


def test_rankings_at_their_limits() -> None:
    order = [["a"], ["b"], ["c"], ["d"]]
    for score in (kendall_tau, spearman_rho):
        assert score(order, order) == pytest.approx(1.0)
        assert score(order, order[::-1]) == pytest.approx(-1.0)
        assert isnan(score(order, [["a", "b", "c", "d"]]))
        assert isnan(score([["a"]], [["b"]]))
    assert kendall_tau([["a"], ["b"]], [["b"], ["z"], ["a"]]) == -1.0  # z was ranked by one alone


def test_pairs_count_once_and_items_are_resampled() -> None:
    def score(a: int, b: int) -> float:
        return float(a == b)

    answers = [[1, 1, 2], [1, 1], [2, 2], [5]]
    (figure,) = agreement_of_pairs(answers, {"same": score}, {"same": "same"}, rng=np.random.default_rng(RNG))
    assert figure.value == pytest.approx(3 / 5)
    assert (figure.n_items, figure.n_labels) == (3, 7)
    assert figure.interval is not None
    assert figure.interval[0] <= 1 / 3 < 1.0 <= figure.interval[1]


def test_why_there_is_no_figure_of_pairs() -> None:
    rng = np.random.default_rng(RNG)
    (none,) = agreement_of_pairs([[1], [2]], {"s": lambda a, b: 1.0}, {"s": "s"}, rng=rng)
    assert none.refusal == "no item has two labels"
    (flat,) = agreement_of_pairs([[[["a", "b"]]] * 2], {"tau": kendall_tau}, {"tau": "tau"}, rng=rng)
    assert flat.refusal == "no two people put the same choices into an order"
    (same,) = agreement_of_pairs([[1, 1]] * 50, {"s": lambda a, b: 1.0}, {"s": "s"}, rng=rng)
    assert same.interval == pytest.approx((0.025 ** (1 / 50), 1.0))


@needs_data
def test_character_f1_of_the_toxic_spans() -> None:
    """Section 5 of the reference figures: any type, "all toxic" is the whole text; 158,356 pairs."""
    lengths = {row[0]: len(row[1]) for row in read_rows("toxic_spans_comments.csv.xz", ",")[1:]}
    rows = read_rows("toxic_spans_annotations.csv.xz", ",")[1:]
    length_of = {annotation: lengths[comment] for annotation, comment, *_rest in rows}
    marked: dict[str, list[Stretch]] = {}
    for annotation, _kind, start, end in read_rows("toxic_spans_spans.csv.xz", ",")[1:]:
        ends = [min(int(place), length_of[annotation]) for place in (start, end)]  # some lie behind the text
        marked.setdefault(annotation, []).append(Stretch("t", "x", *ends))
    last = {(comment, worker): (annotation, all_toxic) for annotation, comment, worker, _, all_toxic, _ in rows}
    answers: dict[str, list[list[Stretch]]] = {}
    for (comment, _worker), (annotation, all_toxic) in last.items():
        whole = [Stretch("t", "x", 0, lengths[comment])]
        answers.setdefault(comment, []).append(whole if all_toxic == "True" else marked.get(annotation, []))
    n_pairs = sum(len(given) * (len(given) - 1) // 2 for given in answers.values())
    (figure,) = agreement_of_pairs(answers.values(), {"f1": covered_f1}, {"f1": "F1"}, rng=np.random.default_rng(RNG))
    assert n_pairs == 158_356
    assert figure.value == pytest.approx(0.506175, abs=5e-7)


# Out of the database

SCHEMA: dict[str, Any] = {
    "questions": [
        {"name": "marks", "kind": "spans", "labels": [{"value": "slur"}, {"value": "name"}]},
        {
            "name": "order",
            "kind": "ranking",
            "ties": True,
            "choices": [{"value": "a"}, {"value": "b"}, {"value": "c"}],
        },
    ]
}


def mark(start: int, end: int, label: str = "slur") -> dict[str, Any]:
    return {"part": "text", "start": start, "end": end, "label": label}


@pytest.mark.django_db
def test_marks_and_rankings_of_a_project_are_measured(make_desk: MakeDesk) -> None:
    rows = [{"external_id": "t-1", "text": "you utter fool, says Mr Smith"}]
    desk = make_desk(rows=rows, schema=SCHEMA, overlap=2)
    desk.label("alice", {"marks": [mark(4, 14)], "order": [["a"], ["b"], ["c"]]})
    desk.label("bob", {"marks": [mark(10, 14), mark(24, 29, "name")], "order": [["a"], ["b", "c"]]})
    api = Api(desk.cast.enzo)
    found = {m["metric"]: m for m in api.get("projects/forum/agreement?question=marks").json()["metrics"]}
    assert {name: m["value"] for name, m in found.items()} == {
        "raw_agreement": 0.0,
        "character_f1": pytest.approx(8 / 19),
        "span_f1_exact": 0.0,
        "span_f1_partial": pytest.approx(2 / 3),
        "token_f1": pytest.approx(2 / 4),  # "utter", "fool" beside "fool", "Smith"
        # 29 characters, 11 of them apart; 14 slur, 5 name, 39 in gaps, and units of 10, 4 and 5.
        "alpha_u": pytest.approx(1 - (22 / 58) / ((58**2 - 14**2 - 5**2 - 39**2) / (58**2 - 100 - 16 - 25 - 39))),
        "alpha_u_binary": pytest.approx(1 - (22 / 58) / (2 * 39 * 19 / (58**2 - 100 - 16 - 25 - 39))),
    }
    assert (found["token_f1"]["n_items"], found["token_f1"]["n_annotators"]) == (1, 2)
    ranked = {m["metric"]: m for m in api.get("projects/forum/agreement?question=order").json()["metrics"]}
    assert ranked["kendall_tau_b"]["value"] == pytest.approx(2 / sqrt(6))
    client = Api(None).client
    client.force_login(desk.cast.rita, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/p/forum/agreement/?question=marks").content.decode()
    assert "F1, characters" in page
