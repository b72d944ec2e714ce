"""Which questions a model can learn. Settings name one of them; the learning app works with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from annotation.kinds import Question, choice, choices, rating
from annotation.plain_text import quote
from annotation.schema import leaf_choices

# As many as the desk has buttons for: of a longer scale each point has too few labels to be a class of its own.
MOST_POINTS = rating.MAX_BUTTONS
MOST_CHOICES = 60  # of which several may hold: each is a model of its own


def tell_unlearnable(question: Question) -> str | None:
    """Why no model can learn a question, as a sentence; None where one can."""
    name = {"name": quote(question["name"])}
    match question["kind"]:
        case choice.NAME:
            if len(leaf_choices(question)) > 1:
                return None
            return _("%(name)s has a single choice: there is nothing to tell apart.") % name
        case choices.NAME:
            n = len(leaf_choices(question))
            if n <= MOST_CHOICES:
                return None
            return _("%(name)s has %(n)d choices of which several may hold: a model can learn at most %(most)d.") % {
                **name,
                "n": n,
                "most": MOST_CHOICES,
            }
        case rating.NAME:
            n = question["max"] - question["min"] + 1
            if n <= MOST_POINTS:
                return None
            return _("The scale of %(name)s has %(n)d points: a model can learn one of at most %(most)d.") % {
                **name,
                "n": n,
                "most": MOST_POINTS,
            }
    return _("%(name)s cannot be learned.") % name + f" {tell_learnable()}"


def tell_learnable() -> str:
    """What can be learned, as a sentence."""
    return _(
        "A model learns a single choice out of two or more, any number of choices out of at most %(choices)d, or a"
        " rating on a scale of at most %(points)d points."
    ) % {"choices": MOST_CHOICES, "points": MOST_POINTS}


def learnable_of(compiled: Mapping[str, Any]) -> list[Question]:
    """The questions of a compiled schema that a model can learn, in schema order."""
    return [question for question in compiled["questions"] if tell_unlearnable(question) is None]
