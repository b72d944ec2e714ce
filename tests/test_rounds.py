"""Rounds: what is trained on, what is served next, what a batch replaces, and that cutting one off does no harm."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from annotation.actions.jobs import claim_job
from annotation.actions.media import add_media
from annotation.actions.people import create_token
from annotation.errors import InvalidError, StateError
from annotation.events import dispatch_events
from annotation.jobs import JobFailedError, JobLostError, run_job
from annotation.models import Draw, DrawItem, Event, Item, Job, Project, QueueRow
from annotation.settings import STRATEGIES
from config.home import ROOT
from learning.actions.models import keep_model, make_current, write_scores
from learning.actions.rounds import Pick, begin_round, digest_frame, fail_round, raise_batch, settle_holdout_share
from learning.algorithms import weights
from learning.consumers import count_new, start_if_due
from learning.features.stored import has_shards
from learning.loading import load_pool
from learning.model_files import read_weights
from learning.models import ModelVersion, Round, Score
from learning.questions import learnable_questions
from learning.reports import (
    current_model,
    holdout_state,
    learning_curve,
    model_rows,
    next_round,
    round_rows,
    round_state,
)
from learning.selection import drawn_by_chance
from learning.tasks import rounds
from learning.tasks.rounds import run_round
from learning.tasks.schedules import run_schedules
from reviewers.models import Resolution
from tests.cast import Desk, MakeDesk, import_rows
from tests.learning_rows import BETWEEN, PLAIN, SPAM, add, ask, attempt, empty_desk, finish, names_in, play, teach


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Twelve settled items of two kinds; open: four of each kind and one that lies between them."""
    desk = empty_desk(make_desk)
    teach(desk)
    add(desk, 4, SPAM, "os")
    add(desk, 4, PLAIN, "op")
    add(desk, 1, BETWEEN, "between")
    return desk


def priorities(desk: Desk) -> dict[int, float]:
    """Priority by item, of those above 0."""
    rows = QueueRow.objects.filter(project=desk.project, rank__lt=0)
    return {row.item_id: -row.rank for row in rows}


def between(desk: Desk) -> int:
    return Item.objects.get(project=desk.project, external_id__startswith="between").pk


# What is chosen and served


@pytest.mark.django_db
def test_the_next_lease_is_the_most_uncertain_item_of_the_new_scores(desk: Desk) -> None:
    done = play(desk, strategy="margin", random_share=0, batch=5)
    scores = Score.objects.filter(model_version=done.model_version).order_by("-utility")
    assert scores[0].item_id == between(desk)
    assert desk.lease_one("alice")["item"] == between(desk)
    served = [scores.get(item=desk.lease_one(name)["item"]).utility for name in ("bob", "carol")]
    assert served == [score.utility for score in scores[1:3]]  # items of the same utility come in any order


@pytest.mark.django_db
def test_a_batch_keeps_the_order_of_utility_above_everything_else(desk: Desk) -> None:
    done = play(desk, random_share=0, batch=3)
    picks = list(DrawItem.objects.filter(draw=done.draw).order_by("rank"))
    assert [pick.probability for pick in picks] == [None] * 3
    assert sorted((pick.utility or 0 for pick in picks), reverse=True) == [pick.utility for pick in picks]
    assert priorities(desk) == {pick.item_id: 4.0 - pick.rank for pick in picks}


@pytest.mark.django_db
def test_random_picks_carry_their_probability_and_the_draw_its_frame(desk: Desk) -> None:
    frame = load_pool(desk.project).items.tolist()
    done = play(desk, random_share=0.5, batch=4, seed=7)
    assert done.draw is not None
    assert (done.draw.stream, done.draw.strategy, done.draw.seed, done.draw.round) == ("active", "margin", 7, done.pk)
    assert (done.draw.n_frame, bytes(done.draw.frame_digest or b"")) == (9, digest_frame(frame))
    known = [pick.probability for pick in DrawItem.objects.filter(draw=done.draw) if pick.probability is not None]
    assert known == [pytest.approx(2 / 7)] * 2  # two of the seven that the best two left


@pytest.mark.django_db
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_on_offer_chooses_a_batch(desk: Desk, strategy: str) -> None:
    done = play(desk, strategy=strategy, random_share=0.2, batch=5, seed=7)
    assert done.draw is not None
    assert (done.draw.strategy, done.n_selected, done.note) == (strategy, 5, "")
    picks = DrawItem.objects.filter(draw=done.draw)
    by_chance = 5 if strategy == "random" else 1
    assert sum(pick.probability is not None for pick in picks) == by_chance
    assert len({pick.item_id for pick in picks}) == 5


@pytest.mark.django_db
def test_only_what_chance_drew_counts_as_a_fair_sample(desk: Desk) -> None:
    """Imported labels do not; a chance pick does, and so does what was chosen, not taken, and came by its turn."""
    items = load_pool(desk.project).items
    done = play(desk, random_share=0.5, batch=4, seed=7)
    assert done.model_version is not None
    assert (done.model_version.evaluation or {})["settings"]["shift"] == [0, 0]  # no label was drawn by chance yet
    picks = {pick.item.external_id: pick for pick in DrawItem.objects.filter(draw=done.draw).select_related("item")}
    chosen = [name for name, pick in picks.items() if pick.probability is None]
    drawn = [name for name in picks if name not in chosen]
    for name in (chosen[0], *drawn):
        desk.vote(name, alice="none")
    others = [one.external_id for one in Item.objects.filter(pk__in=items) if one.external_id not in picks]
    later = Round.objects.get(job=ask(desk))
    raise_two(later, lambda: None, [desk.item(name).pk for name in others][:1])
    desk.vote(chosen[1], alice="none")
    known = {item.pk: item.external_id for item in Item.objects.filter(project=desk.project)}
    by_chance = np.array(sorted(known))[drawn_by_chance(desk.project, np.array(sorted(known)))]
    assert {known[item] for item in by_chance.tolist()} == {chosen[1], *drawn}
    assert set(by_chance.tolist()) <= set(items.tolist())


@pytest.mark.django_db
def test_spread_batches_ask_items_that_differ(desk: Desk) -> None:
    """The item between the two kinds first, then one of each: by margin alone it would be two of one kind."""
    add(desk, 8, SPAM, "more")
    done = play(desk, strategy="kmeans", random_share=0, batch=3, seed=7)
    picks = DrawItem.objects.filter(draw=done.draw).order_by("rank")
    names = [pick.item.external_id.split("-")[0] for pick in picks.select_related("item")]
    assert names[0].startswith("between")
    assert {name[:2] == "op" for name in names[1:]} == {True, False}


@pytest.mark.django_db
def test_the_random_strategy_draws_all_by_chance_and_shows_no_utility(desk: Desk) -> None:
    done = play(desk, strategy="random", batch=3)
    picks = DrawItem.objects.filter(draw=done.draw)
    assert [pick.probability for pick in picks] == pytest.approx([1 / 3] * 3)
    assert [pick.utility for pick in picks] == [None] * 3


@pytest.mark.django_db
def test_the_same_seed_chooses_the_same_batch(desk: Desk) -> None:
    first = play(desk, random_share=0.5, batch=4, seed=3)
    second = play(desk, random_share=0.5, batch=4, seed=3)
    picks = [list(DrawItem.objects.filter(draw=r.draw).order_by("rank").values_list("item")) for r in (first, second)]
    assert picks[0] == picks[1]


@pytest.mark.django_db
def test_a_new_batch_replaces_the_one_before(desk: Desk) -> None:
    first = play(desk, strategy="random", batch=6, seed=1)
    assert len(priorities(desk)) == 6
    second = play(desk, random_share=0, batch=2)
    new = set(DrawItem.objects.filter(draw=second.draw).values_list("item", flat=True))
    assert set(priorities(desk)) == new
    old = set(DrawItem.objects.filter(draw=first.draw).values_list("item", flat=True)) - new
    fallen = QueueRow.objects.filter(item__in=old)
    assert {(row.rank, row.draw and row.draw.strategy) for row in fallen} == {(0.0, "import")}


@pytest.mark.django_db
def test_an_item_that_was_begun_comes_after_the_new_batch_and_before_the_rest(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, overlap=2)
    waiting = add(desk, 6, PLAIN, "w")
    first = play(desk, batch=3)
    begun = desk.lease_one("alice")["item"]
    second = play(desk, batch=1, seed=4)
    (new,) = DrawItem.objects.filter(draw=second.draw).exclude(item=begun).values_list("item", flat=True)
    assert {item: p for item, p in priorities(desk).items() if item in waiting} == {new: 1.0, begun: 0.5}
    assert QueueRow.objects.get(item=begun).draw == first.draw


@pytest.mark.django_db
def test_what_is_settled_loses_its_priority_with_the_next_batch_and_keeps_its_draw(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    add(desk, 6, PLAIN, "w")
    first = play(desk, batch=3)
    answered = desk.lease_one("alice")
    desk.submit("alice", answered)
    assert answered["item"] in priorities(desk)
    second = play(desk, batch=2, seed=4)
    new = set(DrawItem.objects.filter(draw=second.draw).values_list("item", flat=True))
    assert set(priorities(desk)) == new - {answered["item"]} == new
    assert QueueRow.objects.get(item=answered["item"]).draw == first.draw


@pytest.mark.django_db
def test_an_item_that_is_begun_waits_there_from_batch_to_batch(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, overlap=2)
    add(desk, 6, PLAIN, "w")
    play(desk, batch=3)
    begun = desk.lease_one("alice")["item"]
    play(desk, batch=1, seed=4)
    last = play(desk, batch=1, seed=5)
    (new,) = DrawItem.objects.filter(draw=last.draw).exclude(item=begun).values_list("item", flat=True)
    assert priorities(desk) == {new: 1.0, begun: 0.5}


@pytest.mark.django_db
def test_items_that_are_settled_held_out_or_full_are_not_chosen(desk: Desk) -> None:
    add(desk, 3, BETWEEN, "held", split=Item.Split.HOLDOUT)
    full = desk.lease_one("alice")["item"]
    done = play(desk, random_share=0, batch=100)
    chosen = set(DrawItem.objects.filter(draw=done.draw).values_list("item", flat=True))
    assert chosen == set(load_pool(desk.project).items.tolist()) - {full}
    assert (done.n_pool, done.n_selected) == (9, 8)


@pytest.mark.django_db
def test_a_round_over_an_empty_pool_keeps_its_model_and_says_so(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    teach(desk)
    done = play(desk)
    assert (done.n_selected, done.draw) == (0, None)
    assert "No open item is left" in done.note
    assert done.model_version is not None


# What is learned and judged


@pytest.mark.django_db
def test_a_small_holdout_is_a_named_refusal_and_the_model_is_used(desk: Desk) -> None:
    add(desk, 12, SPAM, "h", "spam", Item.Split.HOLDOUT)
    done = play(desk)
    model = done.model_version
    assert model is not None
    assert model.evaluation is not None
    refusals = {figure["metric"]: figure["refusal"] for figure in model.evaluation["metrics"]}
    assert refusals["macro_f1"] == "holdout has 12 labels, 100 needed"
    assert model.is_current
    assert round_state(Round.objects.get(pk=done.pk)) == "done"


@pytest.mark.django_db
def test_a_full_holdout_gives_figures_with_interval_and_n(desk: Desk) -> None:
    add(desk, 60, SPAM, "hs", "spam", Item.Split.HOLDOUT)
    add(desk, 60, PLAIN, "hp", "none", Item.Split.HOLDOUT)
    done = play(desk)
    (point,) = learning_curve(desk.project, learnable_questions(desk.project)[0])
    figure = point["macro_f1"]
    assert (point["n_train"], point["round"], point["strategy"]) == (12, done.number, "margin")
    assert (figure["value"], figure["n_items"], figure["refusal"]) == (1.0, 120, None)
    assert figure["interval"] == [1.0, 1.0]
    assert done.model_version is not None
    assert done.model_version.evaluation is not None
    assert done.model_version.evaluation["choices"] == ["none", "spam", "insult"]


@pytest.mark.django_db
def test_with_no_labels_the_batch_is_random_and_the_note_says_why(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    add(desk, 5, PLAIN, "w")
    done = play(desk, batch=2)
    assert done.model_version is None
    assert "there are no labels to learn from" in done.note
    assert done.draw is not None
    assert done.draw.strategy == "random"
    assert set(DrawItem.objects.filter(draw=done.draw).values_list("probability", flat=True)) == {0.4}


@pytest.mark.django_db
def test_with_one_class_the_batch_is_random_and_the_note_says_why(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    add(desk, 3, PLAIN, "p", "none")
    add(desk, 5, PLAIN, "w")
    done = play(desk, batch=2)
    assert (done.model_version, done.n_train, done.n_selected) == (None, 3, 2)
    assert "only 1 class occurs" in done.note


def with_words(make_desk: MakeDesk, keywords: str) -> Desk:
    """Nothing is labelled; four items of ten have the words."""
    desk = empty_desk(make_desk, learning={"keywords": keywords, "holdout_share": 0, "every": None})
    add(desk, 6, PLAIN, "w")
    add(desk, 4, SPAM, "s")
    return desk


@pytest.mark.django_db
def test_words_of_a_policy_choose_the_first_batch(make_desk: MakeDesk) -> None:
    desk = with_words(make_desk, "cheap pills")
    done = play(desk, batch=5, random_share=0.2, strategy="margin")
    assert (done.model_version, done.strategy) == (None, "margin")
    assert done.note.endswith("This batch was chosen by the words of the learning settings.")
    assert done.draw is not None
    assert (done.draw.strategy, done.draw.n_frame) == ("keywords", 10)
    picks = DrawItem.objects.filter(draw=done.draw).select_related("item")
    assert {one.item.external_id[0] for one in picks if one.probability is None} == {"s"}
    assert [one.probability for one in picks if one.probability is not None] == [pytest.approx(1 / 6)]


@pytest.mark.django_db
@pytest.mark.parametrize(("keywords", "strategy"), [("zebra", "adaptive"), ("cheap pills", "random")])
def test_chance_chooses_where_no_text_has_the_words_or_chance_was_asked_for(
    make_desk: MakeDesk, keywords: str, strategy: str
) -> None:
    done = play(with_words(make_desk, keywords), batch=4, random_share=0, strategy=strategy)
    assert done.note.endswith("This batch was drawn at random.")
    assert done.draw is not None
    assert done.draw.strategy == "random"


@pytest.mark.django_db
def test_adaptive_goes_on_by_the_words_while_labels_are_few(make_desk: MakeDesk) -> None:
    """A dozen labels tell the two kinds apart already, and the words are of another kind still."""
    desk = empty_desk(make_desk, learning={"keywords": "umbrella", "holdout_share": 0, "every": None})
    teach(desk)
    add(desk, 4, BETWEEN, "between")
    add(desk, 2, f"{PLAIN} umbrella", "u")
    done = play(desk, batch=2, random_share=0, strategy="adaptive")
    picks = DrawItem.objects.filter(draw=done.draw).select_related("item")
    assert {one.item.external_id[0] for one in picks} == {"u"}
    assert done.model_version is not None


@pytest.mark.django_db
def test_without_a_new_model_there_is_no_committee_and_the_note_says_so(desk: Desk) -> None:
    first = play(desk, strategy="vote_entropy", random_share=0, batch=3)
    second = play(desk, strategy="vote_entropy", random_share=0, batch=3, train=False)
    assert first.draw is not None
    assert second.draw is not None
    assert (first.draw.strategy, second.draw.strategy) == ("vote_entropy", "margin")
    assert second.note.endswith("this batch was chosen by margin.")


@pytest.mark.django_db
def test_without_training_and_without_a_model_the_round_fails_with_a_sentence(desk: Desk) -> None:
    job = ask(desk, train=False)
    with pytest.raises(JobFailedError, match="There is no model for this question yet"):
        run_round(attempt(job))
    (row,) = round_rows(desk.project)
    assert "There is no model for this question yet" in Round.objects.get(job=job).note
    assert row["n_selected"] is None


@pytest.mark.django_db
def test_a_kept_model_scores_again_as_it_did(desk: Desk) -> None:
    first = play(desk)
    before = dict(Score.objects.filter(model_version=first.model_version).values_list("item", "utility"))
    again = play(desk, train=False)
    assert again.model_version == first.model_version
    assert dict(Score.objects.filter(model_version=first.model_version).values_list("item", "utility")) == before
    assert len(learning_curve(desk.project, learnable_questions(desk.project)[0])) == 1


@pytest.mark.django_db
def test_a_models_file_says_what_it_learned_from_and_what_made_it(desk: Desk) -> None:
    model = play(desk).model_version
    assert model is not None
    arrays, card = weights.unpack(read_weights(model), model.sha256)
    used = zip(arrays["training.items"].tolist(), arrays["training.versions"].tolist(), strict=True)
    settled = Resolution.objects.filter(
        project=desk.project, item__split=Item.Split.POOL, state=Resolution.State.AGREED
    )
    assert sorted(used) == sorted(settled.values_list("item", "version"))
    assert set(card["software"]) == {"touchstone", "numpy", "scipy", "scikit-learn"}
    assert card["model"]["settings"]["seed"] == model.seed


@pytest.mark.django_db
def test_a_model_whose_file_was_changed_is_refused(desk: Desk, settings: Any) -> None:
    done = play(desk)
    assert done.model_version is not None
    path = Path(settings.MODEL_DIR) / done.model_version.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(JobFailedError, match="was changed"):
        run_round(attempt(ask(desk, train=False)))


@pytest.mark.django_db
def test_a_new_version_takes_over_and_old_scores_go(desk: Desk) -> None:
    first, second = play(desk), play(desk)
    assert first.model_version is not None
    assert second.model_version is not None
    assert (first.model_version.version, second.model_version.version) == ("1", "2")
    assert current_model(desk.project, learnable_questions(desk.project)[0]) == second.model_version
    assert set(Score.objects.values_list("model_version", flat=True)) == {second.model_version.pk}
    assert [row["is_current"] for row in model_rows(desk.project)] == [True, False]


@pytest.mark.django_db
def test_an_earlier_model_can_be_named(desk: Desk) -> None:
    play(desk)
    play(desk)
    done = play(desk, model="touchstone-logistic@1")
    assert done.model_version is not None
    assert (done.model_version.version, done.model_version.is_current) == ("1", True)


@pytest.mark.django_db
def test_the_bare_name_of_our_own_model_trains_it(desk: Desk) -> None:
    done = play(desk, model="touchstone-logistic", train=True)
    assert done.model_version is not None
    assert done.model_version.version == "1"
    again = play(desk, model="touchstone-logistic", train=False)
    assert again.model_version == done.model_version


# Cut off, outdated, at the same time


@pytest.mark.django_db
@pytest.mark.parametrize("strategy", ["margin", "consensus_entropy"])
def test_a_round_cut_off_between_swap_and_batch_is_finished_by_the_next_attempt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    job = ask(desk, random_share=0, batch=4, strategy=strategy)
    with monkeypatch.context() as cut:
        cut.setattr(rounds, "raise_batch", lambda **_: (_ for _ in ()).throw(OSError("power cut")))
        with pytest.raises(OSError, match="power cut"):
            run_round(attempt(job))
    swapped = ModelVersion.objects.get(project=desk.project)
    assert swapped.is_current
    assert priorities(desk) == {}
    assert run_round(attempt(job)) == {"round": str(Round.objects.get(job=job).pk)}
    assert ModelVersion.objects.get(project=desk.project).sha256 == swapped.sha256
    assert desk.lease_one("alice")["item"] == between(desk)


@pytest.mark.django_db
def test_a_round_cut_off_before_the_swap_shows_nothing_and_keeps_one_version(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask(desk)
    with monkeypatch.context() as cut:
        cut.setattr(rounds, "make_current", lambda **_: (_ for _ in ()).throw(OSError("power cut")))
        with pytest.raises(OSError, match="power cut"):
            run_round(attempt(job))
    assert current_model(desk.project, learnable_questions(desk.project)[0]) is None
    run_round(attempt(job))
    assert ModelVersion.objects.get(project=desk.project).is_current
    assert Score.objects.count() == 9


def in_turn(*steps: Callable[[], object]) -> Callable[[], object]:
    """A `check` that does one of these each time: what happens as the first transaction begins, and the second."""
    left = iter(steps)
    return lambda: next(left)()


def power_cut() -> None:
    raise OSError("power cut")


def raise_two(round_: Round, check: Callable[[], object], picks: list[int]) -> None:
    """Raise these items as a round does."""
    raise_batch(
        round=round_,
        check=check,
        picks=[Pick(item, None, 1.0) for item in picks],
        frame=picks,
        n_pool=len(picks),
        n_train=1,
        model=None,
        strategy="margin",
    )


@pytest.fixture
def replaced(make_desk: MakeDesk) -> tuple[Desk, Round, list[int], int, int, int]:
    """A batch of three of which one is settled, one begun and one nobody's; two items to raise in its place."""
    desk = empty_desk(make_desk, overlap=2)
    waiting = add(desk, 6, PLAIN, "w")
    first = play(desk, batch=3, strategy="random")
    settled = desk.lease_one("alice")
    desk.submit("alice", settled)
    desk.submit("bob", desk.lease_one("bob"))
    begun = desk.lease_one("alice")["item"]
    batch = set(DrawItem.objects.filter(draw=first.draw).values_list("item", flat=True))
    (untouched,) = batch - {settled["item"], begun}
    return desk, first, sorted(set(waiting) - batch)[:2], settled["item"], begun, untouched


@pytest.mark.django_db
def test_a_round_cut_off_between_its_two_transactions_leaves_the_batch_before_and_is_healed(
    replaced: tuple[Desk, Round, list[int], int, int, int],
) -> None:
    desk, first, chosen, settled, begun, untouched = replaced
    before = priorities(desk)
    job = ask(desk)
    running = attempt(job)
    with pytest.raises(OSError, match="power cut"):
        raise_two(Round.objects.get(job=job), in_turn(running.check, power_cut), chosen)
    # What people answer stands behind already; what nobody has is served as before, by the same draw.
    assert priorities(desk) == {untouched: before[untouched], begun: 0.5}
    batch = QueueRow.objects.filter(item__in=[settled, begun, untouched])
    assert {row.draw for row in batch} == {first.draw}
    assert not Draw.objects.filter(round=Round.objects.get(job=job).pk).exists()
    assert Round.objects.get(job=job).finished_at is None
    again = attempt(job)
    raise_two(Round.objects.get(job=job), again.check, chosen)
    assert priorities(desk) == {chosen[0]: 2.0, chosen[1]: 1.0, begun: 0.5}
    done = Round.objects.get(job=job)
    assert (done.draw, done.finished_at is not None) == (Draw.objects.get(round=done.pk), True)
    assert [QueueRow.objects.get(item=item).draw for item in (*chosen, settled, begun)] == [
        done.draw,
        done.draw,
        first.draw,
        first.draw,
    ]


@pytest.mark.django_db
def test_an_attempt_that_loses_its_job_between_its_two_transactions_raises_nothing(
    replaced: tuple[Desk, Round, list[int], int, int, int],
) -> None:
    desk, _first, chosen, _settled, begun, untouched = replaced
    job = ask(desk)
    late = attempt(job)
    before = priorities(desk)

    def lose() -> None:
        attempt(job)
        late.check()

    with pytest.raises(JobLostError):
        raise_two(Round.objects.get(job=job), in_turn(late.check, lose), chosen)
    assert priorities(desk) == {untouched: before[untouched], begun: 0.5}
    assert not Draw.objects.filter(round=Round.objects.get(job=job).pk).exists()
    assert Round.objects.get(job=job).finished_at is None


@pytest.mark.django_db
def test_an_item_begun_between_the_two_transactions_keeps_its_draw_and_comes_after_the_batch(
    replaced: tuple[Desk, Round, list[int], int, int, int],
) -> None:
    desk, first, chosen, _settled, begun, untouched = replaced
    job = ask(desk)
    running = attempt(job)
    leased: list[int] = []

    def lease() -> None:
        leased.append(desk.lease_one("carol")["item"])
        running.check()

    raise_two(Round.objects.get(job=job), in_turn(running.check, lease), chosen)
    assert leased == [untouched]
    assert priorities(desk) == {chosen[0]: 2.0, chosen[1]: 1.0, begun: 0.5, untouched: 0.5}
    assert QueueRow.objects.get(item=untouched).draw == first.draw


@pytest.mark.django_db
def test_an_attempt_that_lost_its_job_changes_nothing(desk: Desk) -> None:
    job = ask(desk)
    late = attempt(job)
    current = attempt(job)
    with pytest.raises(JobLostError):
        run_round(late)
    assert (ModelVersion.objects.count(), Score.objects.count(), priorities(desk)) == (0, 0, {})
    run_round(current)
    assert len(priorities(desk)) == 9


WRITES: dict[str, Callable[[Round, ModelVersion, Callable[[], object]], object]] = {
    "begin_round": lambda round_, _model, check: begin_round(round=round_, check=check),
    "keep_model": lambda round_, _model, check: keep_model(
        round=round_, check=check, estimator="cnn", data=b"x", digest="0" * 64, classes=[1, 2], n_train=1, evaluation={}
    ),
    "write_scores": lambda _round, model, check: write_scores(
        model=model,
        items=np.array([1]),
        proba=np.array([[1.0, 0.0]]),
        utilities=np.array([0.0]),
        classes=[1, 2],
        check=check,
    ),
    "make_current": lambda _round, model, check: make_current(model=model, check=check),
    "raise_batch": lambda round_, _model, check: raise_batch(
        round=round_,
        check=check,
        picks=[Pick(load_pool(round_.project).items.tolist()[0], None, 1.0)],
        frame=[1],
        n_pool=1,
        n_train=1,
        model=None,
        strategy="margin",
    ),
    "fail_round": lambda round_, _model, check: fail_round(round=round_, reason="late", check=check),
}


@pytest.mark.django_db
@pytest.mark.parametrize("write", WRITES)
def test_every_write_of_a_round_is_refused_to_an_outdated_attempt(desk: Desk, write: str) -> None:
    play(desk)
    sent = {"name": "llm", "version": "1", "origin": "external", "classes": [1, 2]}
    model = ModelVersion.objects.create(project=desk.project, question=1, **sent)
    job = ask(desk)
    late = attempt(job)
    attempt(job)

    def look() -> list[Any]:
        tables = [Round, ModelVersion, Score, Draw, QueueRow]
        return [list(table._default_manager.order_by("pk").values()) for table in tables]

    before = look()
    with pytest.raises(JobLostError):
        WRITES[write](Round.objects.get(job=job), model, late.check)
    assert look() == before


@pytest.mark.django_db
def test_a_finished_round_is_not_done_twice(desk: Desk) -> None:
    job = ask(desk, batch=2)
    run_round(attempt(job))
    n_draws = Draw.objects.count()
    run_round(attempt(job))
    assert Draw.objects.count() == n_draws


@pytest.mark.django_db
def test_a_second_round_waits_for_the_first(desk: Desk) -> None:
    first, second = ask(desk), ask(desk)
    running = attempt(first)
    assert claim_job(job_id=second.pk, worker="test") is None
    finish(running, run_round(running))
    assert run_round(attempt(second))
    assert [row["number"] for row in round_rows(desk.project)] == [2, 1]


# By itself


@pytest.mark.django_db(transaction=True)
def test_a_round_starts_by_itself_after_every_n_new_resolutions(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, learning={"every": 4, "holdout_share": 0, "batch": 2})
    names = [Item.objects.get(pk=pk).external_id for pk in add(desk, 8, PLAIN, "w")]
    for name in names[:3]:
        desk.vote(name, alice="none")
    dispatch_events()
    assert Round.objects.count() == 0
    assert next_round(desk.project) == {"every": 4, "n_until_next": 1, "every_hours": None}
    desk.vote(names[3], alice="spam")
    dispatch_events()
    dispatch_events()
    (round_,) = Round.objects.all()
    assert (round_.trigger, round_.strategy, round_.batch) == ("resolutions", "margin", 2)
    assert count_new(desk.project) == 0
    assert round_.job_id is not None
    run_job(round_.job_id)
    round_.refresh_from_db()
    assert (round_.n_train, round_.n_selected) == (4, 2)
    assert round_state(round_) == "done"


@pytest.mark.django_db(transaction=True)
def test_never_two_rounds_wait_at_once(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, learning={"every": 1, "holdout_share": 0})
    add(desk, 2, PLAIN, "p", "none")
    dispatch_events()
    add(desk, 2, SPAM, "s", "spam")
    dispatch_events()
    assert Round.objects.count() == 1
    assert count_new(desk.project) == 2


@pytest.mark.django_db
def test_without_the_setting_no_round_starts(desk: Desk) -> None:
    assert start_if_due(desk.project, timezone.now()) is None
    assert next_round(desk.project) is None


@pytest.mark.django_db(transaction=True)
def test_a_round_starts_by_the_clock_where_something_is_new(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, learning={"every": None, "every_hours": 6, "holdout_share": 0})
    run_schedules()
    assert not Round.objects.exists()  # nothing to learn from
    add(desk, 2, PLAIN, "p", "none")
    run_schedules()
    run_schedules()
    (first,) = Round.objects.all()
    assert first.trigger == "clock"
    assert first.job_id is not None
    run_job(first.job_id)
    add(desk, 2, SPAM, "s", "spam")
    run_schedules()
    assert Round.objects.count() == 1
    Round.objects.update(created_at=timezone.now() - timedelta(hours=6))
    run_schedules()
    assert Round.objects.count() == 2
    assert next_round(desk.project) == {"every": None, "n_until_next": None, "every_hours": 6}


@pytest.mark.django_db
def test_the_holdout_is_served_until_300_are_settled(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, learning={"holdout_share": 0.3, "every": None})
    add(desk, 299, PLAIN, "h", "none", Item.Split.HOLDOUT)
    assert settle_holdout_share(project=desk.project) == 0.3
    add(desk, 1, PLAIN, "last", "none", Item.Split.HOLDOUT)
    assert settle_holdout_share(project=desk.project) == 0.0
    assert Project.objects.get(pk=desk.project.pk).holdout_share_now == 0.0
    assert holdout_state(desk.project) == {"n_resolved": 300, "n_needed": 100, "share": 0.0}


# Asking for one


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strategy", "clairvoyance"),
        ("batch", 0),
        ("batch", True),
        ("seed", -1),
        ("random_share", 1.5),
        ("question", "no_such"),
        ("model", "no_such"),
    ],
)
def test_a_field_that_does_not_fit_is_named(desk: Desk, field: str, value: Any) -> None:
    with pytest.raises(InvalidError) as caught:
        ask(desk, **{field: value})
    assert list(caught.value.fields) == [field]
    assert (Round.objects.count(), Job.objects.filter(kind="round").count()) == (0, 0)


@pytest.mark.django_db
def test_an_archived_project_starts_no_round(desk: Desk) -> None:
    desk.project.state = Project.State.ARCHIVED
    with pytest.raises(StateError):
        ask(desk)


@pytest.mark.django_db
def test_what_is_left_out_comes_from_the_settings(make_desk: MakeDesk) -> None:
    learning = {"strategy": "entropy", "batch": 7, "random_share": 0.1, "every": None, "holdout_share": 0}
    desk = empty_desk(make_desk, learning=learning)
    ask(desk)
    row = Round.objects.get()
    assert (row.strategy, row.batch, row.random_share, row.number) == ("entropy", 7, 0.1, 1)


def caller(desk: Desk, name: str) -> dict[str, Any]:
    """Headers of a person's requests."""
    return {"Authorization": f"Bearer {create_token(user=desk.cast[name], actor=desk.cast[name])[1]}"}


@pytest.mark.django_db
def test_rounds_and_models_over_http(desk: Desk, client: Client) -> None:
    url, headers = reverse("api-rounds", args=["forum"]), caller(desk, "enzo")
    body = {"strategy": "margin", "batch": 3, "random_share": 0, "seed": 5, "train": True}
    answer = client.post(url, json.dumps(body), content_type="application/json", headers=headers)
    assert answer.status_code == 202
    running = attempt(Job.objects.get(pk=answer.json()["job"]))
    assert answer["Location"].endswith(answer.json()["job"])
    assert client.get(url, headers=headers).json()["results"][0]["state"] == "running"
    finish(running, run_round(running))
    (row,) = client.get(url, headers=headers).json()["results"]
    assert (row["state"], row["question"], row["n_train"], row["n_selected"]) == ("done", "verdict", 12, 3)
    assert row["evaluation"]["metrics"][1]["refusal"] == "holdout has 0 labels, 100 needed"
    (model,) = client.get(reverse("api-models", args=["forum"]), headers=headers).json()["results"]
    assert (model["name"], model["version"], model["is_current"]) == ("touchstone-logistic", "1", True)
    assert row["model"] == {"id": model["id"], "name": model["name"], "version": model["version"]}


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "status"), [("alice", 403), ("rita", 403), ("mallory", 404), ("olga", 202)])
def test_only_those_who_may_learn_start_rounds(desk: Desk, client: Client, name: str, status: int) -> None:
    url = reverse("api-rounds", args=["forum"])
    answer = client.post(url, "{}", content_type="application/json", headers=caller(desk, name))
    assert answer.status_code == status


@pytest.mark.django_db
def test_a_wrong_body_is_answered_field_by_field(desk: Desk, client: Client) -> None:
    url, headers = reverse("api-rounds", args=["forum"]), caller(desk, "enzo")
    answer = client.post(
        url, json.dumps({"train": "yes", "model": 3}), content_type="application/json", headers=headers
    )
    assert (answer.status_code, sorted(answer.json()["fields"])) == (400, ["model", "train"])


@pytest.mark.django_db
def test_stored_probabilities_are_those_of_the_scores(desk: Desk) -> None:
    from learning.model_files import read_proba

    done = play(desk)
    assert done.model_version is not None
    stored = read_proba(done.model_version)
    assert stored is not None
    items, proba = stored
    top = dict(Score.objects.filter(model_version=done.model_version).values_list("item", "probability"))
    assert np.allclose([top[int(item)] for item in items], proba.max(axis=1), atol=1e-6)


def draw_image(shade: int) -> io.BytesIO:
    out = io.BytesIO()
    Image.new("L", (4, 4), shade).save(out, "PNG")
    return io.BytesIO(out.getvalue())


@pytest.mark.django_db
def test_images_are_learned_like_texts(make_desk: MakeDesk, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_DIR = tmp_path / "media"
    desk = empty_desk(make_desk)
    verdicts = {10: "none", 20: "none", 240: "spam", 250: "spam", 15: None, 130: None, 245: None}
    names = names_in(desk, Item.Split.POOL, "image")
    rows: dict[int, dict[str, Any]] = {}
    for shade, verdict in verdicts.items():
        kept, _is_new = add_media(project=desk.project, source=draw_image(shade), actor=None)
        answers = [] if verdict is None else [{"annotator": "ann", "answers": {"verdict": verdict}}]
        part = {"kind": "image", "media": kept.sha256}
        rows[shade] = {"external_id": next(names), "parts": [part], "annotations": answers}
    import_rows(desk.project, rows.values())
    done = play(desk, random_share=0)
    assert (done.n_train, done.n_selected) == (4, 3)
    assert desk.lease_one("alice")["external_id"] == rows[130]["external_id"]


@pytest.mark.django_db
def test_texts_without_labels_are_begun_by_chance_and_not_counted_for_it(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    add(desk, 5, PLAIN, "w")
    done = play(desk, batch=2, strategy="adaptive")
    assert done.note.endswith("This batch was drawn at random.")
    assert not has_shards(desk.project)


def add_bars(desk: Desk) -> dict[str, int]:
    """Twelve images of a bar at one of three heights; external id -> height."""
    names = names_in(desk, Item.Split.POOL, "image")
    heights: dict[str, int] = {}
    rows = []
    for number in range(12):
        image = io.BytesIO()
        shown = np.zeros((4, 4), np.uint8)
        shown[number % 3] = 200 + number
        Image.fromarray(shown).save(image, "PNG")
        kept, _is_new = add_media(project=desk.project, source=io.BytesIO(image.getvalue()), actor=None)
        name = next(names)
        heights[name] = number % 3
        rows.append({"external_id": name, "parts": [{"kind": "image", "media": kept.sha256}]})
    import_rows(desk.project, rows)
    return heights


@pytest.mark.django_db
def test_images_without_labels_are_begun_by_those_that_most_are_like(
    make_desk: MakeDesk, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_DIR = tmp_path / "media"
    desk = empty_desk(make_desk)
    height = add_bars(desk)
    done = play(desk, batch=4, random_share=0.25, strategy="adaptive")
    assert done.model_version is None
    assert done.note.endswith("This batch was chosen so that as many items as possible are like one of it.")
    assert done.draw is not None
    assert done.draw.strategy == "adaptive"
    picks = DrawItem.objects.filter(draw=done.draw).select_related("item")
    assert {height[one.item.external_id] for one in picks if one.probability is None} == {0, 1, 2}
    assert [one.utility for one in picks] == [None] * 4
    assert [one.probability for one in picks if one.probability is not None] == [pytest.approx(1 / 9)]


LEARNING = {"every": 100, "batch": 4, "random_share": 0, "holdout_share": 0, "strategy": "adaptive"}


@pytest.mark.django_db(transaction=True)
def test_images_that_came_are_begun_by_themselves_and_once(make_desk: MakeDesk, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_DIR = tmp_path / "media"
    desk = empty_desk(make_desk, learning=LEARNING)
    dispatch_events()
    assert not Round.objects.exists()  # nothing to choose from
    height = add_bars(desk)
    dispatch_events()
    (round_,) = Round.objects.all()
    assert round_.trigger == "items"
    assert round_.job_id is not None
    run_job(round_.job_id)
    picks = DrawItem.objects.filter(draw__project=desk.project).select_related("item")
    assert {height[one.item.external_id] for one in picks} == {0, 1, 2}
    add(desk, 2, PLAIN, "more")
    dispatch_events()
    assert Round.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_images_are_not_begun_by_words(make_desk: MakeDesk, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_DIR = tmp_path / "media"
    desk = empty_desk(make_desk, learning={**LEARNING, "strategy": "margin", "keywords": "cheap pills"})
    add_bars(desk)
    dispatch_events()
    assert not Round.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("changed", "n_items", "n_rounds"),
    [
        ({"keywords": "cheap pills"}, 6, 1),
        ({"keywords": "cheap pills", "strategy": "margin"}, 6, 1),
        ({"keywords": "cheap pills", "strategy": "random"}, 6, 0),
        ({"keywords": "cheap pills", "every": None}, 6, 0),
        ({"keywords": "cheap pills"}, 4, 0),  # all of them would be the batch
        ({}, 6, 0),  # texts, and nothing to begin them by
    ],
)
def test_texts_that_came_are_begun_by_themselves_where_there_are_words(
    make_desk: MakeDesk, changed: dict[str, Any], n_items: int, n_rounds: int
) -> None:
    desk = empty_desk(make_desk, learning={**LEARNING, **changed})
    add(desk, n_items, SPAM, "s")
    dispatch_events()
    assert Round.objects.filter(trigger="items").count() == n_rounds


def test_a_web_node_imports_no_machine_learning() -> None:
    lines = (
        "import django, sys; django.setup(); import config.urls; print(sorted({'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, cwd=ROOT, env=dict(os.environ))
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.django_db
def test_every_round_leaves_its_events(desk: Desk) -> None:
    play(desk)
    kinds = set(Event.objects.filter(project=desk.project).values_list("kind", flat=True))
    assert {"round.requested", "model.kept", "model.turned_current", "priorities.set", "round.finished"} <= kinds
