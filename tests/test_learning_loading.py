"""What a model is shown: only labels that may teach it, only items that are open, only their target parts."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.actions.items import erase_items, quarantine_item
from annotation.kinds import Question
from annotation.models import Import, Item
from learning.loading import align_proba, load_holdout, load_pool, load_training
from learning.questions import learnable_questions
from reviewers.actions.adjudication import adjudicate
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, audit, empty_desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return empty_desk(make_desk)


def question(desk: Desk) -> Question:
    return learnable_questions(desk.project)[0]


def test_training_takes_accepted_labels_of_the_pool_in_the_order_of_ids(desk: Desk) -> None:
    spam = add(desk, 3, SPAM, "s", "spam")
    plain = add(desk, 2, PLAIN, "p", "none")
    add(desk, 2, PLAIN, "open")
    training = load_training(desk.project, question(desk))
    assert training.items.tolist() == sorted(spam + plain)
    assert {int(i): int(y) for i, y in zip(training.items, training.y, strict=True)} == {
        **dict.fromkeys(spam, 1),
        **dict.fromkeys(plain, 0),
    }


def test_holdout_items_never_train_and_alone_judge(desk: Desk) -> None:
    add(desk, 2, SPAM, "s", "spam")
    kept_apart = add(desk, 3, SPAM, "h", "spam", Item.Split.HOLDOUT)
    assert not set(kept_apart) & set(load_training(desk.project, question(desk)).items.tolist())
    assert load_holdout(desk.project, question(desk)).items.tolist() == sorted(kept_apart)


def test_audit_items_never_train_and_are_not_in_the_pool(desk: Desk) -> None:
    settled = add(desk, 3, SPAM, "s", "spam")
    waiting = add(desk, 3, SPAM, "w")
    audit(desk, [settled[0], waiting[0]])
    assert load_training(desk.project, question(desk)).items.tolist() == sorted(settled[1:])
    assert load_pool(desk.project).items.tolist() == sorted(waiting[1:])


def test_disputed_and_open_items_teach_nothing_until_a_reviewer_decides(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, overlap=2)
    (item,) = add(desk, 1, SPAM, "x")
    external_id = Item.objects.get(pk=item).external_id
    desk.vote(external_id, alice="spam", bob="none")
    assert len(load_training(desk.project, question(desk))) == 0
    assert len(load_pool(desk.project)) == 0
    adjudicate(
        access=desk.access("rita"),
        item=Item.objects.get(pk=item),
        answers={"verdict": "insult"},
        reason="ambiguous",
    )
    assert load_training(desk.project, question(desk)).y.tolist() == [2]


def test_the_pool_leaves_out_what_is_settled_held_out_sealed_erased_or_not_visible(desk: Desk) -> None:
    waiting = add(desk, 4, PLAIN, "w")
    add(desk, 1, PLAIN, "settled", "none")
    add(desk, 2, PLAIN, "h", split=Item.Split.HOLDOUT)
    quarantine_item(item=Item.objects.get(pk=waiting[0]), actor=desk.cast.rita)
    erase_items(project=desk.project, item_ids=[waiting[1]], actor=None, reason="asked")
    (hidden,) = add(desk, 1, PLAIN, "hidden")
    Import.objects.filter(items=hidden).update(is_visible=False)
    assert load_pool(desk.project).items.tolist() == sorted(waiting[2:])


def test_an_item_that_is_all_taken_is_in_the_pool_and_has_no_place(desk: Desk) -> None:
    waiting = add(desk, 2, PLAIN, "w")
    taken = desk.lease_one("alice")["item"]
    pool = load_pool(desk.project)
    assert pool.items.tolist() == sorted(waiting)
    assert pool.items[pool.has_place].tolist() == [item for item in waiting if item != taken]


def test_probabilities_follow_the_choices_when_the_schema_changes() -> None:
    proba = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    assert align_proba(proba, [1, 2, 3], [1, 2, 3]).tolist() == proba.tolist()
    assert align_proba(proba, [1, 2, 3], [3, 1, 4]).round(3).tolist() == [[0.286, 0.714, 0.0], [0.333, 0.333, 0.333]]
