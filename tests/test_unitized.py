"""Unitized alpha: its definition place by place, published examples in units of one place, limits, the database."""

from __future__ import annotations

import doctest
from itertools import permutations
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import ItemPayload, Media
from reviewers.algorithms import unitized
from reviewers.algorithms.agreement import InsufficientOverlapError
from reviewers.algorithms.mark_agreement import Stretch
from reviewers.algorithms.unitized import Continuum, OverlapError, unitized_alpha, unitized_alphas_of
from tests.api_client import Api
from tests.cast import MakeDesk, import_rows
from tests.test_agreement import needs_data, read_rows

Units = list[Stretch]


def units(*pieces: tuple[float, float, str]) -> Units:
    return [Stretch("t", label, start, end) for start, end, label in pieces]


def continuum(length: float, *answers: Units) -> Continuum:
    return Continuum({"t": length}, answers)


def place_by_place(continua: list[Continuum]) -> tuple[float, float]:
    """The definition counted out: of each place the pairs of people, and by chance all pairs of places but within one
    unit; a place in a gap is a unit of its own."""
    places: list[tuple[str, int]] = []
    apart = np.zeros(2)
    n_units = 0
    for one in continua:
        said = [["gap"] * int(one.lengths["t"]) for _answer in one.answers]
        for row, answer in zip(said, one.answers, strict=True):
            of = [-1] * len(row)
            for unit in answer:
                n_units += 1
                for place in range(int(unit.start), int(unit.end)):
                    row[place], of[place] = str(unit.label), n_units
            for place, unit_no in enumerate(of):
                n_units += unit_no < 0
                places.append((row[place], n_units if unit_no < 0 else unit_no))
        for a, b in permutations(said, 2):
            for x, y in zip(a, b, strict=True):
                apart += np.array([x != y, (x == "gap") != (y == "gap")]) / (len(said) - 1)
    chance, n = np.zeros(2), 0
    for (one_said, one_unit), (other_said, other_unit) in permutations(places, 2):
        if one_unit != other_unit:
            n += 1
            chance += [one_said != other_said, (one_said == "gap") != (other_said == "gap")]
    found = 1 - (apart / len(places)) / (chance / n)
    return float(found[0]), float(found[1])


@st.composite
def answer(draw: st.DrawFn) -> Units:
    cuts = sorted(draw(st.lists(st.integers(0, 12), min_size=2, max_size=8, unique=True)))
    pieces = zip(cuts[::2], cuts[1::2], strict=False)
    return units(*[(start, end, draw(st.sampled_from("xy"))) for start, end in pieces])


CONTINUA = st.lists(
    st.lists(answer(), min_size=2, max_size=4).map(lambda answers: continuum(13, *answers)), min_size=1, max_size=3
)


@given(CONTINUA)
def test_alpha_is_what_the_definition_says_place_by_place(continua: list[Continuum]) -> None:
    assert unitized_alpha(continua) == pytest.approx(place_by_place(continua), nan_ok=True)


@given(CONTINUA, st.permutations(["a", "b"]))
def test_names_directions_and_orders_do_not_matter(continua: list[Continuum], names: list[str]) -> None:
    called = dict(zip("xy", names, strict=True))
    turned = [
        continuum(
            13, *[units(*[(13 - u.end, 13 - u.start, called[str(u.label)]) for u in one]) for one in c.answers[::-1]]
        )
        for c in continua[::-1]
    ]
    assert unitized_alpha(turned) == pytest.approx(unitized_alpha(continua), nan_ok=True)


@given(CONTINUA)
def test_one_long_continuum_is_its_pieces_laid_end_to_end(continua: list[Continuum]) -> None:
    """Cut between units, where all of them were divided by the same people."""
    n = min(len(one.answers) for one in continua)
    same = [Continuum(one.lengths, one.answers[:n]) for one in continua]
    long = [
        [
            unit._replace(start=unit.start + 13 * at, end=unit.end + 13 * at)
            for at, one in enumerate(same)
            for unit in one.answers[person]
        ]
        for person in range(n)
    ]
    assert unitized_alpha([continuum(13 * len(same), *long)]) == pytest.approx(unitized_alpha(same), nan_ok=True)


# Krippendorff (2011), sections A and B, two observers; 0 is a gap and each other value a unit of one place.
BINARY = ([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0])


def single(values: Any) -> Units:
    return units(*[(place, place + 1, str(value)) for place, value in enumerate(values) if value not in (0, "a")])


def test_units_of_one_place_give_the_published_nominal_alpha() -> None:
    assert [round(one, 3) for one in unitized_alpha([continuum(10, *map(single, BINARY))])] == [0.095, 0.095]


def test_gaps_and_labels_of_one_place_give_the_published_alpha_of_names() -> None:
    b = ["a", "a", "b", "b", "d", "c", "c", "c", "e", "d", "d", "a"]
    c = ["b", "a", "b", "b", "b", "c", "c", "c", "e", "d", "d", "d"]
    assert round(unitized_alpha([continuum(12, single(b), single(c))])[0], 3) == 0.692


# Krippendorff (1995), example A, made digits: 24 places, alpha 0.329.
def test_the_digitised_example_of_1995() -> None:
    bertha = [0] * 2 + [1] * 8 + [0] * 4 + [1] * 6 + [0] * 4
    bill = [0] * 4 + [1] * 4 + [0] * 7 + [1] * 2 + [0] * 7
    assert [round(one, 3) for one in unitized_alpha([continuum(24, single(bertha), single(bill))])] == [0.329, 0.329]


def test_a_unit_is_one_decision() -> None:
    """By hand: 0-4 and 2-6 of 10; chance pairs 20 * 20 places but the 16 + 16 within a unit and 12 in gaps."""
    nominal, binary = unitized_alpha([continuum(10, units((0, 4, "x")), units((2, 6, "x")))])
    assert nominal == binary == pytest.approx(1 - (8 / 20) / ((400 - 64 - 144) / (400 - 44)))


def test_the_binary_one_looks_past_labels() -> None:
    nominal, binary = unitized_alpha([continuum(10, units((0, 4, "x")), units((0, 4, "y")))])
    assert 0 < nominal < binary == 1.0


def test_units_of_one_label_that_overlap_are_one_and_others_divide_nothing() -> None:
    joined = continuum(10, units((0, 6, "x")), units((2, 6, "x")))
    assert unitized_alpha([continuum(10, units((0, 4, "x"), (2, 6, "x")), units((2, 6, "x")))]) == unitized_alpha(
        [joined]
    )
    touching = continuum(10, units((0, 3, "x"), (3, 6, "x")), units((2, 6, "x")))
    assert unitized_alpha([touching]) != unitized_alpha([joined])
    with pytest.raises(OverlapError):
        unitized_alpha([continuum(10, units((0, 4, "x"), (2, 6, "y")), [])])


def test_one_person_alone_divides_nothing_that_could_be_compared() -> None:
    with pytest.raises(InsufficientOverlapError):
        unitized_alpha([continuum(10, units((0, 4, "x")))])


def figures(continua: list[Continuum | None]) -> list[Any]:
    return unitized_alphas_of(continua, rng=np.random.default_rng(1))


def test_figures_come_with_intervals_over_items() -> None:
    rng = np.random.default_rng(4)
    continua: list[Continuum | None] = []
    for _ in range(60):
        start = int(rng.integers(0, 10))
        near = start + int(rng.integers(0, 3))
        continua.append(
            continuum(20, units((start, start + 5, "x")), units((near, near + 5, "xy"[int(rng.integers(4)) == 0])))
        )
    nominal, binary = figures(continua)
    assert (nominal.value, binary.value) == pytest.approx(unitized_alpha([one for one in continua if one]))
    assert nominal.interval[0] < nominal.value < nominal.interval[1] < binary.value
    assert (nominal.n_items, nominal.n_labels) == (60, 120)
    assert figures(continua) == figures(continua[::-1])


def test_perfect_agreement_is_one_with_the_bound_of_what_was_not_seen() -> None:
    nominal, binary = figures([continuum(10, units((0, 4, "x")), units((0, 4, "x")))] * 30)
    assert (nominal.value, binary.value) == (1.0, 1.0)
    assert 0.5 < nominal.interval[0] < 1.0 == nominal.interval[1]


@pytest.mark.parametrize(
    ("continua", "refusal"),
    [
        ([], "no item has two labels"),
        ([continuum(10, units((0, 4, "x")))], "no item has two labels"),
        ([None], "how long the text or recording is, is not known"),
        ([continuum(10, [], [])], "only 1 class occurs"),
        ([continuum(10, units((0, 10, "x")), units((0, 10, "x")))], "only 1 class occurs"),
        (
            [continuum(10, units((0, 4, "x"), (2, 6, "y")), [])],
            "on every item somebody's own marks overlap under different labels",
        ),
    ],
)
def test_why_there_is_no_alpha(continua: list[Continuum | None], refusal: str) -> None:
    assert {one.refusal for one in figures(continua)} == {refusal}


def test_what_is_left_out_is_said() -> None:
    good = [continuum(10, units((0, 4, "x")), units((n % 4, 4, "x"))) for n in range(12)]
    found = figures([*good, None, continuum(10, units((0, 4, "x"), (2, 6, "y")), [])])[0]
    assert found.n_items == 12
    assert "1 item left out: length not known; 1 item left out: somebody's own marks overlap" in found.method


@needs_data
def test_the_toxic_spans_take_seconds() -> None:
    lengths = {row[0]: len(row[1]) for row in read_rows("toxic_spans_comments.csv.xz", ",")[1:]}
    rows = read_rows("toxic_spans_annotations.csv.xz", ",")[1:]
    length_of = {annotation: lengths[comment] for annotation, comment, *_rest in rows}
    marked: dict[str, Units] = {}
    for annotation, _kind, start, end in read_rows("toxic_spans_spans.csv.xz", ",")[1:]:
        ends = [min(int(place), length_of[annotation]) for place in (start, end)]
        marked.setdefault(annotation, []).extend(units((ends[0], ends[1], "x")) if ends[0] < ends[1] else [])
    last = {(comment, worker): (annotation, all_toxic) for annotation, comment, worker, _, all_toxic, _ in rows}
    answers: dict[str, list[Units]] = {}
    for (comment, _worker), (annotation, all_toxic) in last.items():
        whole = units((0, lengths[comment], "x")) if lengths[comment] else []
        answers.setdefault(comment, []).append(whole if all_toxic == "True" else marked.get(annotation, []))
    continua: list[Continuum | None] = [continuum(lengths[one], *found) for one, found in answers.items()]
    began = perf_counter()
    nominal, binary = figures(continua)
    assert perf_counter() - began < 30
    assert nominal.value == binary.value == pytest.approx(0.117846, abs=1e-6)


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(unitized).failed == 0


# Out of the database

SPANS = {"questions": [{"name": "marks", "kind": "spans", "labels": [{"value": "slur"}, {"value": "name"}]}]}
SEGMENTS = {"questions": [{"name": "marks", "kind": "segments", "labels": [{"value": "speech"}, {"value": "noise"}]}]}


def mark(start: float, end: float, label: str = "slur", part: str = "text") -> dict[str, Any]:
    return {"part": part, "start": start, "end": end, "label": label}


def alphas(desk: Any) -> dict[str, Any]:
    body = Api(desk.cast.rita).get("projects/forum/agreement?question=marks").json()
    return {m["metric"]: m for m in body["metrics"] if m["metric"].startswith("alpha_u")}


@pytest.mark.django_db
def test_texts_are_laid_end_to_end(make_desk: MakeDesk) -> None:
    given = [([mark(0, 4)], [mark(2, 6)]), ([mark(1, 3, "name")], [mark(1, 3)]), ([], [mark(0, 1)])]
    rows = [
        {
            "external_id": f"t-{n}",
            "text": "a" * (10 + n),
            "annotations": [{"annotator": who, "answers": {"marks": a}} for who, a in zip("AB", both, strict=True)],
        }
        for n, both in enumerate(given)
    ]
    desk = make_desk(rows=rows, schema=SPANS, overlap=2)
    spans = [[units(*[(m["start"], m["end"], m["label"]) for m in one]) for one in both] for both in given]
    wanted = unitized_alpha([continuum(10 + n, *both) for n, both in enumerate(spans)])
    found = alphas(desk)
    assert (found["alpha_u"]["value"], found["alpha_u_binary"]["value"]) == pytest.approx(wanted)
    ItemPayload.objects.filter(item__external_id="t-0").delete()
    found = alphas(desk)
    assert found["alpha_u"]["value"] == pytest.approx(
        unitized_alpha([continuum(11, *spans[1]), continuum(12, *spans[2])])[0]
    )
    assert "1 item left out: length not known" in found["alpha_u"]["method"]


@pytest.mark.django_db
def test_recordings_are_as_long_as_they_were_measured(make_desk: MakeDesk) -> None:
    parts = [{"name": "clip", "kind": "audio", "media": "0" * 64}]
    answers = [[mark(0, 4.5, "speech", "clip")], [mark(1.5, 6, "speech", "clip")]]
    annotations = [{"annotator": who, "answers": {"marks": one}} for who, one in zip("AB", answers, strict=True)]
    desk = make_desk(1, SEGMENTS, overlap=2)
    media = Media.objects.create(project=desk.project, sha256="0" * 64, size=1, mime="audio/wav")
    import_rows(desk.project, [{"external_id": "r-1", "parts": parts, "annotations": annotations}])
    assert alphas(desk)["alpha_u"]["refusal"] == "how long the text or recording is, is not known"
    Media.objects.filter(pk=media.pk).update(derivatives={"peaks": {"seconds": 30.0}})
    both = [units((0, 4.5, "speech")), units((1.5, 6, "speech"))]
    assert alphas(desk)["alpha_u"]["value"] == pytest.approx(unitized_alpha([continuum(30, *both)], grain=0.001)[0])
