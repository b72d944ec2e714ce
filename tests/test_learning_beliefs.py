"""What is stored of the answers to an item, as shares of classes to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.models import Item
from learning.beliefs import load_beliefs
from learning.loading import load_training
from learning.questions import class_names, classes_of, learnable_questions
from reviewers.models import Resolution
from tests.cast import MakeDesk
from tests.learning_rows import PLAIN, add, empty_desk


@pytest.mark.django_db
def test_votes_posteriors_and_decisions_say_how_likely_each_choice_is(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, overlap=3)
    question = learnable_questions(desk.project)[0]
    names, classes = class_names(question), classes_of(question)
    split, whole, weighed, decided = add(desk, 4, PLAIN, "b")
    for item, last in ((split, "none"), (whole, "spam"), (weighed, "none"), (decided, "none")):
        name = Item.objects.get(pk=item).external_id
        desk.vote(name, alice="spam", bob="spam", carol=last)
    spam, none = (classes[names.index(name)] for name in ("spam", "none"))
    Resolution.objects.filter(item=weighed).update(posterior={str(spam): 0.6, str(none): 0.2})
    Resolution.objects.filter(item=decided).update(state=Resolution.State.ADJUDICATED)
    training = load_training(desk.project, question)
    assert set(training.items.tolist()) == {split, whole, weighed, decided}
    order = np.searchsorted(training.items, [split, whole, weighed, decided])
    found = load_beliefs(desk.project, question, training)[order]
    assert found.shape == (4, len(classes))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[:, names.index("spam")], [5 / 6, 1, 0.75, 1])
    np.testing.assert_allclose(found[:, names.index("none")], [1 / 6, 0, 0.25, 0], atol=1e-12)
