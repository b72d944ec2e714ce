"""The material of the demo projects: well formed, varied, learnable, and simulated people of the stated skill."""

from __future__ import annotations

import io
import re
from collections import Counter
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from PIL import Image

from config.demo import VERDICTS, Comment, ProjectName, load_comments, load_guideline, load_schema
from config.demo.annotators import ANNOTATORS, CAREFUL, NEW, QUICK, Annotator, Reply, answer, is_heated, reply_rng
from config.demo.digits import ATTRIBUTION, N_DIGITS, SIDE_PIXELS, iterate_digits

COMMENTS = load_comments()
PROJECTS: list[ProjectName] = ["community", "digits"]


def reply_to_all(annotator: Annotator, comments: list[Comment], seed: int) -> list[Reply]:
    return [answer(annotator, comment, reply_rng(annotator, comment, seed)) for comment in comments]


def share_right(annotator: Annotator, comments: list[Comment], n_seeds: int = 5) -> float:
    hits = [
        reply.answers["verdict"] == comment.truth
        for seed in range(n_seeds)
        for comment, reply in zip(comments, reply_to_all(annotator, comments, seed), strict=True)
    ]
    return float(np.mean(hits))


def choices_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [choice for question in schema["questions"] for choice in question.get("choices", [])]


def test_comments_have_ids_in_order_and_none_twice() -> None:
    assert [c.external_id for c in COMMENTS] == [f"comment-{n:03d}" for n in range(1, len(COMMENTS) + 1)]
    normalised = [re.sub(r"\W+", " ", c.text.casefold()).strip() for c in COMMENTS]
    assert len(set(normalised)) == len(COMMENTS)


def test_comments_are_a_few_hundred_short_texts_by_many_people() -> None:
    assert 400 <= len(COMMENTS) <= 500
    assert [c for c in COMMENTS if not 8 <= len(c.text) <= 400 or c.text != c.text.strip()] == []
    by_group = Counter(c.group for c in COMMENTS)
    assert 80 <= len(by_group) <= 130
    assert max(by_group.values()) <= 10


def test_every_verdict_occurs_in_about_its_share() -> None:
    counts = Counter(c.truth for c in COMMENTS)
    shares = [counts[verdict] / len(COMMENTS) for verdict in VERDICTS]
    assert set(counts) == set(VERDICTS)
    assert shares == pytest.approx([0.55, 0.14, 0.12, 0.10, 0.09], abs=0.03)


def test_some_comments_are_truly_ambiguous_and_every_verdict_has_one() -> None:
    ambiguous = [c for c in COMMENTS if c.hard > 0.6]
    assert all(0 <= c.hard <= 1 for c in COMMENTS)
    assert 25 <= len(ambiguous) <= len(COMMENTS) // 8
    assert {c.truth for c in ambiguous} == set(VERDICTS)


def test_contact_details_in_comments_can_belong_to_nobody() -> None:
    text = "\n".join(c.text for c in COMMENTS)
    hosts = re.findall(r"[\w.-]+@([\w.-]+\w)", text) + re.findall(r"(?<![\w@.-])((?:[\w-]+\.)+(?:com|net|org))\b", text)
    phones = re.findall(r"\b\d{3}-\d{4}\b", text)
    assert len(hosts) > 15
    assert [h for h in hosts if not re.fullmatch(r"(?:[\w-]+\.)*example\.(?:com|net|org)", h)] == []
    assert len(phones) > 10
    assert [p for p in phones if not p.startswith("555-01")] == []
    assert re.findall(r"\b\d{5,}\b", text.replace("00000000", "")) == []


def test_a_linear_model_learns_comments_of_people_it_never_saw() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(class_weight="balanced", max_iter=500))
    truth = [c.truth for c in COMMENTS]
    groups = [c.group for c in COMMENTS]
    predicted = cross_val_predict(model, [c.text for c in COMMENTS], truth, groups=groups, cv=GroupKFold(5))
    # always answering "none" gives 0.14
    assert 0.5 < f1_score(truth, predicted, average="macro") < 0.95


@pytest.mark.parametrize("project", PROJECTS)
def test_guideline_has_clauses_with_unique_ids_and_examples_on_both_sides(project: ProjectName) -> None:
    guideline = load_guideline(project)
    assert set(guideline) == {"change", "clauses"}
    assert guideline["change"] == "major"
    ids = [clause["id"] for clause in guideline["clauses"]]
    assert len(set(ids)) == len(ids)
    for clause in guideline["clauses"]:
        assert set(clause) == {"id", "title", "text", "examples"}
        assert re.fullmatch(r"[a-z]+-\d+", clause["id"])
        assert all(set(example) == {"in_scope", "text", "note"} for example in clause["examples"])
        assert {example["in_scope"] for example in clause["examples"]} == {True, False}


def test_guideline_examples_are_not_among_the_comments() -> None:
    examples = {e["text"] for clause in load_guideline("community")["clauses"] for e in clause["examples"]}
    assert examples.isdisjoint({c.text for c in COMMENTS})


@pytest.mark.parametrize("project", PROJECTS)
def test_schema_refers_only_to_clauses_that_exist(project: ProjectName) -> None:
    clauses = {clause["id"] for clause in load_guideline(project)["clauses"]}
    choices = choices_of(load_schema(project))
    assert {choice["clause"] for choice in choices if "clause" in choice} <= clauses
    assert all(re.fullmatch(r"[^\x00-\x1f\x7f]{1,100}", choice["value"]) for choice in choices)


def test_community_asks_for_a_verdict_and_perhaps_a_tone() -> None:
    verdict, tone = load_schema("community")["questions"]
    assert (verdict["name"], verdict["kind"], verdict["required"]) == ("verdict", "choice", True)
    assert [choice["value"] for choice in verdict["choices"]] == list(VERDICTS)
    assert [choice["key"] for choice in verdict["choices"]] == ["1", "2", "3", "4", "5"]
    assert [choice["value"] for choice in verdict["choices"] if "clause" not in choice] == ["none"]
    assert [choice.get("severity") for choice in verdict["choices"]] == [None, "minor", "major", "minor", "critical"]
    assert (tone["name"], tone["kind"], tone["required"], tone["min"], tone["max"]) == ("tone", "rating", False, 1, 5)


def test_digits_are_asked_with_the_key_that_the_digit_is() -> None:
    (question,) = load_schema("digits")["questions"]
    assert (question["name"], question["kind"], question["required"]) == ("digit", "choice", True)
    assert [(c["value"], c["key"]) for c in question["choices"]] == [(str(d), str(d)) for d in range(10)]


def test_digits_are_all_there_with_known_answers_and_the_same_bytes_every_time() -> None:
    first, second = list(iterate_digits()), list(iterate_digits())
    assert first == second
    assert [d.external_id for d in first] == [f"digit-{n:04d}" for n in range(1, N_DIGITS + 1)]
    assert len({sha256(d.png).digest() for d in first}) == N_DIGITS
    # the counts that the UCI description states for its test set
    counts = Counter(d.answer for d in first)
    assert [counts[str(d)] for d in range(10)] == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_a_digit_is_a_greyscale_png_enlarged_without_smoothing() -> None:
    from sklearn.datasets import load_digits

    image = Image.open(io.BytesIO(next(iterate_digits()).png))
    pixels = np.asarray(image)
    source = load_digits().images[0]
    assert (image.format, image.mode, image.size) == ("PNG", "L", (SIDE_PIXELS, SIDE_PIXELS))
    np.testing.assert_array_equal(pixels, np.kron(pixels[::8, ::8], np.ones((8, 8), dtype=np.uint8)))
    np.testing.assert_allclose((255.0 - pixels[::8, ::8]) * 16 / 255, source, atol=0.05)


def test_digits_name_their_authors_and_licence_in_the_guideline() -> None:
    text = load_guideline("digits")["clauses"][0]["text"]
    assert text.startswith(ATTRIBUTION)
    assert "Alpaydin" in ATTRIBUTION
    assert "Kaynak" in ATTRIBUTION
    assert "CC BY 4.0" in ATTRIBUTION


def test_annotators_are_as_skilled_as_stated_and_in_that_order() -> None:
    assert share_right(CAREFUL, COMMENTS) == pytest.approx(0.95, abs=0.02)
    assert share_right(QUICK, COMMENTS) == pytest.approx(0.85, abs=0.03)
    assert share_right(NEW, COMMENTS) == pytest.approx(0.70, abs=0.04)


@pytest.mark.parametrize("annotator", ANNOTATORS, ids=lambda a: a.name)
def test_annotators_err_more_where_it_is_hard(annotator: Annotator) -> None:
    easy = [c for c in COMMENTS if c.hard <= 0.2]
    hard = [c for c in COMMENTS if c.hard > 0.6]
    assert share_right(annotator, easy) > share_right(annotator, hard) + 0.03


def test_the_new_annotator_takes_heated_criticism_for_an_insult() -> None:
    heated = [c for c in COMMENTS if c.truth == "none" and is_heated(c)]
    shares = {
        a.name: np.mean([r.answers["verdict"] == "insult" for seed in range(5) for r in reply_to_all(a, heated, seed)])
        for a in ANNOTATORS
    }
    assert len(heated) >= 15
    assert shares["new"] > 0.7
    assert max(shares["careful"], shares["quick"]) < 0.2


def test_replies_fit_the_schema_and_take_a_plausible_time() -> None:
    replies = {a.name: reply_to_all(a, COMMENTS, seed=0) for a in ANNOTATORS}
    everything = [reply for made in replies.values() for reply in made]
    assert {reply.answers["verdict"] for reply in everything} == set(VERDICTS)
    assert {reply.answers["tone"] for reply in everything if "tone" in reply.answers} == {1, 2, 3, 4, 5}
    assert any("tone" not in reply.answers for reply in everything)
    assert all(0.5 < reply.seconds < 180 for reply in everything)
    medians = {name: float(np.median([reply.seconds for reply in made])) for name, made in replies.items()}
    assert medians["quick"] < 5 < medians["careful"] < 20
    assert any(reply.unsure for reply in replies["careful"])


def test_a_reply_depends_on_seed_person_and_comment_but_not_on_the_order_of_work() -> None:
    forwards = reply_to_all(NEW, COMMENTS, seed=3)
    backwards = reply_to_all(NEW, COMMENTS[::-1], seed=3)
    assert forwards == backwards[::-1]
    assert forwards != reply_to_all(NEW, COMMENTS, seed=4)


def test_three_annotators_leave_something_to_agree_on_and_something_to_dispute() -> None:
    votes = zip(*(reply_to_all(a, COMMENTS, seed=0) for a in ANNOTATORS), strict=True)
    n_distinct = Counter(len({reply.answers["verdict"] for reply in three}) for three in votes)
    assert n_distinct[1] > len(COMMENTS) * 0.4
    assert n_distinct[2] > len(COMMENTS) * 0.2
    assert n_distinct[3] >= 5
