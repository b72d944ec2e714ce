"""How a job about a question begins: labels that hold still, and the question as it is learned now."""

from __future__ import annotations

from django.utils.translation import gettext as _

from annotation.actions.carrying import refuse_while_carrying
from annotation.jobs import JobFailedError
from annotation.kinds import Question
from annotation.models import Project
from learning.questions import learnable_questions


def open_question(project: Project, question_id: int, refusal: str = "") -> Question:
    """The question of that id under the schema in force.

    Raises StateError while labels are of two versions of the schema, JobFailedError where the question can no longer be
    learned, by the sentence `refusal` or one of its own.
    """
    refuse_while_carrying(project)
    question = next((q for q in learnable_questions(project) if q["id"] == question_id), None)
    if question is None:
        raise JobFailedError(refusal or _("This question is no longer one that can be learned."))
    return question
