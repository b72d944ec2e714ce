"""Scores from elsewhere: the same place, the same selection; bad lines are named one by one and stop nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.actions.people import create_token
from annotation.models import DrawItem, Item, Job, QueueRow
from learning.actions.predictions import start_predictions
from learning.loading import load_pool
from learning.models import ModelVersion, Round, Score
from learning.predictions import PredictionError, list_learnable, parse_prediction
from learning.questions import learnable_questions
from learning.tasks import predictions
from learning.tasks.predictions import run_predictions
from learning.tasks.rounds import run_round
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk
from tests.learning_rows import PLAIN, add, ask, attempt, empty_desk, finish, play, teach

TWO_CHOICES = [
    CHOICE_SCHEMA["questions"][0],
    {"name": "tone", "kind": "choice", "choices": [{"value": "calm"}, {"value": "angry"}]},
]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.UPLOAD_DIR.mkdir()


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Six open items w-..., in the pool; a batch is all by utility."""
    desk = empty_desk(make_desk, learning={"holdout_share": 0, "every": None, "random_share": 0, "batch": 3})
    add(desk, 6, PLAIN, "w")
    return desk


def waiting(desk: Desk) -> list[str]:
    items = Item.objects.filter(pk__in=load_pool(desk.project).items.tolist())
    return sorted(items.values_list("external_id", flat=True))


def line(external_id: str, proba: dict[str, float], **more: Any) -> dict[str, Any]:
    return {"external_id": external_id, "model": "llm", "proba": proba, **more}


def graded(desk: Desk) -> list[dict[str, Any]]:
    """A line for each open item; the later, the less certain."""
    names = waiting(desk)
    return [line(name, {"spam": 0.95 - 0.05 * i}) for i, name in enumerate(names)]


def spool(desk: Desk, lines: list[Any], select: bool = True) -> Job:
    from django.conf import settings

    path = Path(settings.UPLOAD_DIR) / "sent"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    return start_predictions(project=desk.project, actor=desk.cast.enzo, path=path, select=select)


def send(desk: Desk, lines: list[Any], select: bool = True) -> dict[str, Any]:
    """Send lines and carry out the job; its result."""
    job = spool(desk, lines, select)
    run_predictions(attempt(job))
    job.refresh_from_db()
    assert job.state == "done"
    return dict(job.result or {})


# The same place, the same selection


@pytest.mark.django_db
def test_sent_scores_choose_what_is_served_next(desk: Desk) -> None:
    assert send(desk, graded(desk)) == {"accepted": 6, "rejected": 0, "errors": []}
    names = waiting(desk)
    served = [desk.lease_one(name)["external_id"] for name in ("alice", "bob", "carol")]
    assert served == names[:-4:-1]
    round_ = Round.objects.select_related("draw").get()
    assert (round_.trigger, round_.n_selected, round_.n_train) == ("predictions", 3, None)
    assert round_.draw is not None
    assert (round_.draw.strategy, round_.draw.n_frame) == ("margin", 6)


@pytest.mark.django_db
def test_the_model_that_sent_becomes_the_current_one(desk: Desk) -> None:
    teach(desk)
    play(desk)
    send(desk, graded(desk))
    current = ModelVersion.objects.get(project=desk.project, is_current=True)
    assert (current.name, current.version, current.origin) == ("llm", "1", "external")
    assert not Score.objects.filter(model_version__origin="trained").exists()


@pytest.mark.django_db
def test_with_select_0_scores_are_there_and_no_priority_moves(desk: Desk) -> None:
    send(desk, graded(desk), select=False)
    assert ModelVersion.objects.get().is_current
    assert Score.objects.count() == 6
    assert (Round.objects.count(), QueueRow.objects.filter(rank__lt=0).count()) == (0, 0)


@pytest.mark.django_db
def test_what_is_left_out_shares_the_rest_equally(desk: Desk) -> None:
    name = waiting(desk)[0]
    send(desk, [line(name, {"spam": 0.7})])
    score = Score.objects.get()
    assert score.proba == pytest.approx([0.15, 0.7, 0.15])
    assert score.utility == pytest.approx(0.45)
    assert score.probability == pytest.approx(0.7)


@pytest.mark.django_db
def test_an_answer_is_a_certain_probability(desk: Desk) -> None:
    send(desk, [{"external_id": waiting(desk)[0], "model": "vendor", "answers": {"verdict": "spam"}}])
    score = Score.objects.get()
    assert (score.proba, score.utility) == ([0.0, 1.0, 0.0], 0.0)


@pytest.mark.django_db
def test_the_last_write_wins_within_a_file_and_after_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    name = waiting(desk)[0]
    send(desk, [line(name, {"spam": 0.9}), line(name, {"spam": 0.8})])
    assert Score.objects.get().probability == pytest.approx(0.8)
    monkeypatch.setattr(predictions, "BATCH", 1)
    send(desk, [line(name, {"spam": 0.6}), line(name, {"spam": 0.7}), line(name, {"spam": 3})])
    assert Score.objects.get().probability == pytest.approx(0.7)


@pytest.mark.django_db
def test_versions_of_a_model_stand_side_by_side_and_the_last_one_is_current(desk: Desk) -> None:
    name = waiting(desk)[0]
    send(desk, [line(name, {"spam": 0.9}, version="a"), line(name, {"spam": 0.6}, version="b")])
    found = {m.version: (m.is_current, round(m.scores.get().probability, 6)) for m in ModelVersion.objects.all()}
    assert found == {"a": (False, 0.9), "b": (True, 0.6)}


@pytest.mark.django_db
def test_a_round_can_choose_by_a_sent_model_again_and_by_another_measure(desk: Desk) -> None:
    send(desk, graded(desk), select=False)
    done = play(desk, model="llm", strategy="entropy", random_share=0, batch=1)
    (pick,) = DrawItem.objects.filter(draw=done.draw)
    assert pick.item.external_id == waiting(desk)[-1]
    assert Score.objects.get(item=pick.item).utility == pick.utility


@pytest.mark.django_db
def test_items_without_scores_are_not_chosen_and_the_round_says_so(desk: Desk) -> None:
    done = ModelVersion.objects
    send(desk, graded(desk)[:2])
    round_ = Round.objects.get()
    assert done.count() == 1
    assert (round_.n_pool, round_.n_selected) == (6, 2)
    assert "4 of 6 open items have no scores by llm 1" in round_.note


@pytest.mark.django_db
def test_too_few_labels_to_train_use_the_sent_scores_and_say_so(desk: Desk) -> None:
    send(desk, graded(desk), select=False)
    done = play(desk, batch=2, random_share=0)
    assert str(done.model_version) == "llm 1"
    assert "there are no labels to learn from" in done.note
    assert "the scores of llm 1 were used" in done.note


@pytest.mark.django_db
def test_a_sent_model_is_judged_on_the_holdout_that_it_scored(desk: Desk) -> None:
    held = add(desk, 120, PLAIN, "h", "none", Item.Split.HOLDOUT)
    spam = add(desk, 20, PLAIN, "hs", "spam", Item.Split.HOLDOUT)
    names = Item.objects.in_bulk([*held, *spam])
    lines = [line(item.external_id, {"none" if pk in held else "spam": 0.9}) for pk, item in names.items()]
    send(desk, lines, select=False)
    evaluation = ModelVersion.objects.get().evaluation
    assert evaluation is not None
    accuracy = evaluation["metrics"][0]
    assert (accuracy["value"], accuracy["n_items"]) == (1.0, 140)


# Bad lines


@pytest.mark.django_db
def test_bad_lines_are_rejected_one_by_one_with_their_numbers(desk: Desk) -> None:
    good = waiting(desk)
    result = send(
        desk,
        [
            line(good[0], {"spam": 0.9}),
            "{not json",
            line("nobody", {"spam": 0.9}),
            line(good[1], {"ham": 0.9}),
            line(good[1], {"spam": 0.9, "none": 0.2}),
            line(good[2], {"spam": 0.5}),
        ],
    )
    assert (result["accepted"], result["rejected"]) == (2, 4)
    assert [error["line"] for error in result["errors"]] == [2, 3, 4, 5]
    reasons = [error["reason"] for error in result["errors"]]
    assert "not JSON" in reasons[0]
    assert "no item" in reasons[1]
    assert "not one of the choices" in reasons[2]
    assert "more than 1" in reasons[3]


@pytest.mark.django_db
def test_a_file_of_bad_lines_alone_changes_nothing(desk: Desk) -> None:
    result = send(desk, [line("nobody", {"spam": 0.9})])
    assert (result["accepted"], result["rejected"]) == (0, 1)
    assert (Round.objects.count(), Score.objects.count()) == (0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"proba": {"spam": -0.1}},
        {"proba": {"spam": True}},
        {"proba": {"spam": "0.5"}},
        {"proba": [0.5]},
        {"proba": {"spam": 0.6, "none": 0.4 + 3e-6}},
        {"proba": {"spam": 0.2, "none": 0.2, "insult": 0.2}},
        {"proba": None},
        {"answers": {"verdict": "spam"}},
        {"external_id": 7},
        {"model": ""},
        {"model": "touchstone-logistic"},
        {"model": "x" * 101},
        {"version": 3},
        {"question": "no_such"},
        {"colour": "red"},
    ],
)
def test_a_line_that_does_not_fit_is_refused(desk: Desk, change: dict[str, Any]) -> None:
    with pytest.raises(PredictionError):
        parse_prediction({**line("w", {"spam": 0.5}), **change}, list_learnable(learnable_questions(desk.project)))


@pytest.mark.django_db
@pytest.mark.parametrize("proba", [{"spam": 0.6, "none": 0.4 + 9e-7}, {}, {"spam": 1}, {"none": 0, "spam": 0.3}])
def test_probabilities_always_sum_to_1(desk: Desk, proba: dict[str, float]) -> None:
    (found,) = parse_prediction(line("w", proba), list_learnable(learnable_questions(desk.project)))
    assert sum(found.proba) == pytest.approx(1, abs=1e-12)


@pytest.mark.django_db
def test_the_question_is_needed_only_where_several_can_be_learned(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, schema={"questions": TWO_CHOICES})
    learnable = list_learnable(learnable_questions(desk.project))
    with pytest.raises(PredictionError, match="Say which `question`: one of: verdict, tone"):
        parse_prediction(line("t-1", {"spam": 0.5}), learnable)
    (found,) = parse_prediction(line("t-1", {"angry": 0.5}, question="tone"), learnable)
    assert (found.question, found.proba) == (2, (0.5, 0.5))
    both = {"external_id": "t-1", "model": "m", "answers": {"verdict": "spam", "tone": "calm"}}
    assert [one.question for one in parse_prediction(both, learnable)] == [1, 2]


# Over HTTP, and again


def headers(desk: Desk, name: str) -> dict[str, Any]:
    return {"Authorization": f"Bearer {create_token(user=desk.cast[name], actor=desk.cast[name])[1]}"}


@pytest.mark.django_db
def test_predictions_over_http(desk: Desk, client: Client) -> None:
    url = reverse("api-predictions", args=["forum"])
    body = "\n".join(json.dumps(one) for one in graded(desk)).encode()
    answer = client.post(
        url,
        gzip.compress(body),
        content_type="application/x-ndjson",
        headers={**headers(desk, "enzo"), "Content-Encoding": "gzip"},
    )
    assert answer.status_code == 202
    run_predictions(attempt(Job.objects.get(pk=answer.json()["job"])))
    job = client.get(answer["Location"], headers=headers(desk, "enzo")).json()
    assert (job["state"], job["result"]["accepted"]) == ("done", 6)
    assert desk.lease_one("alice")["external_id"] == waiting(desk)[-1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "content_type", "query", "status"),
    [
        ("enzo", "application/x-ndjson", "?select=0", 202),
        ("enzo", "application/x-ndjson", "?select=maybe", 400),
        ("enzo", "text/csv", "", 415),
        ("alice", "application/x-ndjson", "", 403),
        ("mallory", "application/x-ndjson", "", 404),
    ],
)
def test_who_may_send_what(
    desk: Desk, client: Client, name: str, content_type: str, query: str, status: int, settings: Any
) -> None:
    url = reverse("api-predictions", args=["forum"]) + query
    answer = client.post(url, b'{"external_id": "x"}', content_type=content_type, headers=headers(desk, name))
    assert answer.status_code == status
    assert len(list(settings.UPLOAD_DIR.iterdir())) == (status == 202)


@pytest.mark.django_db
def test_predictions_wait_for_a_round_that_runs(desk: Desk) -> None:
    running = attempt(ask(desk))
    job = spool(desk, graded(desk))
    with pytest.raises(AssertionError):
        attempt(job)
    finish(running, run_round(running))
    run_predictions(attempt(job))
    assert Round.objects.filter(finished_at__isnull=False).count() == 2


@pytest.mark.django_db
def test_predictions_cut_off_before_the_batch_are_finished_by_the_next_attempt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = spool(desk, graded(desk))
    with monkeypatch.context() as cut:
        cut.setattr(predictions, "conduct", lambda *_, **__: (_ for _ in ()).throw(OSError("power cut")))
        with pytest.raises(OSError, match="power cut"):
            run_predictions(attempt(job))
    run_predictions(attempt(job))
    job.refresh_from_db()
    assert job.result == {"accepted": 6, "rejected": 0, "errors": []}
    assert (Round.objects.count(), Score.objects.count()) == (1, 6)
    assert desk.lease_one("alice")["external_id"] == waiting(desk)[-1]
