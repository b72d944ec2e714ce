"""What is learned: the question, and its answers as classes.

A class is a choice, or a point of a rating's scale. Of `choices` several classes may hold at once, or none: labels are
then a table of 0 and 1 in the place of codes, and probabilities do not sum to 1. Nothing else in this app asks for a
question's kind: what differs between kinds is said here.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from annotation.errors import InvalidError
from annotation.kinds import KINDS, Question, choice, choices, rating
from annotation.kinds.choice_tree import choice_texts
from annotation.learnable import learnable_of, tell_learnable, tell_unlearnable
from annotation.models import Project
from annotation.schema import find_question
from annotation.settings import learning_settings
from reviewers.answers import compiled_schema


def learnable_questions(project: Project) -> list[Question]:
    """The questions of the schema in force that a model can learn, in schema order."""
    return learnable_of(compiled_schema(project))


def default_question(project: Project) -> Question | None:
    """The one that the settings name, else `only_one`; None where that leaves a doubt."""
    found = learnable_questions(project)
    name = learning_settings(project)["question"]
    if name is not None:
        found = [question for question in found if question["name"] == name]
    return only_one(found)


def only_one(questions: list[Question]) -> Question | None:
    """The one that is meant where none is named: the only one, else the only single choice; None for none or several.

    So a rating that is added to a project does not change what it learns.
    """
    single = [question for question in questions if question["kind"] == choice.NAME]
    for found in (questions, single):
        if len(found) == 1:
            return found[0]
    return None


def require_question(project: Project, name: str | None) -> Question:
    """The question of that name, or the default one. Raises InvalidError with a sentence about `question`."""
    if name is None:
        question = default_question(project)
        if question is not None:
            return question
    found = learnable_questions(project)
    for question in found:
        if question["name"] == name:
            return question
    asked = None if name is None else find_question(compiled_schema(project), name)
    why = (tell_unlearnable(asked) or "") if asked is not None else ""
    names = ", ".join(question["name"] for question in found)
    if names:
        why = f"{why} " if why else ""
        raise InvalidError(fields={"question": why + _("Say which question: one of: %(names)s.") % {"names": names}})
    raise InvalidError(fields={"question": why or f"{_('No question here can be learned.')} {tell_learnable()}"})


def classes_of(question: Question) -> list[int]:
    """The codes of a question's classes, in the order of the columns of probabilities: choices' ids, or ratings."""
    return list(KINDS[question["kind"]].domain(question).values())


def class_names(question: Question) -> list[str]:
    """The values of a question's classes as texts, in the order of the columns of probabilities."""
    return list(KINDS[question["kind"]].domain(question))


def class_texts(question: Question) -> dict[str, str]:
    """What people read of each class, by its value."""
    texts = choice_texts(question)
    return {name: texts.get(name, name) for name in class_names(question)}


def holds_several(question: Question) -> bool:
    """Whether several classes may hold of one item, or none."""
    return bool(question["kind"] == choices.NAME)


def scale_of(question: Question) -> list[int] | None:
    """The numbers that the classes stand for, where they have an order; None where they are only different."""
    return classes_of(question) if question["kind"] == rating.NAME else None
