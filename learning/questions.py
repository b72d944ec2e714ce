"""Which question is learned: a single choice out of at least two."""

from __future__ import annotations

from django.utils.translation import gettext as _

from annotation.errors import InvalidError
from annotation.kinds import Question
from annotation.models import Project
from annotation.schema import leaf_choices
from annotation.settings import LEARNABLE_KINDS, learning_settings
from reviewers.answers import compiled_schema


def learnable_questions(project: Project) -> list[Question]:
    """The questions of the schema in force that a model can learn, in schema order."""
    questions = compiled_schema(project)["questions"]
    return [q for q in questions if q["kind"] in LEARNABLE_KINDS and len(leaf_choices(q)) > 1]


def default_question(project: Project) -> Question | None:
    """The one that the settings name, else the only one there is; None where that leaves a doubt."""
    found = learnable_questions(project)
    name = learning_settings(project)["question"]
    if name is not None:
        found = [question for question in found if question["name"] == name]
    return found[0] if len(found) == 1 else None


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
    names = ", ".join(question["name"] for question in found)
    if not names:
        raise InvalidError(
            fields={"question": _("No question here can be learned: that needs a single choice out of two or more.")}
        )
    raise InvalidError(fields={"question": _("Say which question: one of: %(names)s.") % {"names": names}})


def classes_of(question: Question) -> list[int]:
    """The ids of a question's choices, in the order of the columns of probabilities."""
    return [choice["id"] for choice in leaf_choices(question)]


def class_names(question: Question) -> list[str]:
    """The values of a question's choices, in the order of the columns of probabilities."""
    return [choice["value"] for choice in leaf_choices(question)]
