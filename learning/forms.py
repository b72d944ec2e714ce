"""The forms that start a round, and that ask a language model."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from annotation.settings import PROPOSED_STRATEGY, STRATEGIES, learning_settings
from learning.actions.llm import DEFAULT_ASKED, MOST_ASKED
from learning.llm.chat import Endpoint
from learning.llm.gate import MIN_JUDGED
from learning.questions import learnable_questions


class RoundForm(forms.Form):
    """What `start_round` takes; the project's settings stand in it already."""

    question = forms.ChoiceField(label=_("Question"), required=False)
    strategy = forms.ChoiceField(
        label=_("Choose by"),
        help_text=_("Adaptive spreads what the model is unsure about, and looks for a label that is rare."),
    )
    batch = forms.IntegerField(label=_("Items"), min_value=1)
    random_share = forms.FloatField(
        label=_("Share at random"),
        min_value=0,
        max_value=1,
        help_text=_("So that what the model is blind to is asked as well."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    seed = forms.IntegerField(label=_("Seed"), required=False, min_value=0)
    train = forms.BooleanField(label=_("Train a new model first"), required=False, initial=True)

    def __init__(self, data: Any = None, *, project: Project) -> None:
        settings = learning_settings(project)
        initial = {key: settings[key] for key in ("strategy", "batch", "random_share")}
        if project.learning is None:
            initial["strategy"] = PROPOSED_STRATEGY
        super().__init__(data, initial=initial)
        strategy = self.fields["strategy"]
        assert isinstance(strategy, forms.ChoiceField)
        strategy.choices = [(name, name) for name in STRATEGIES]
        names = [question["name"] for question in learnable_questions(project)]
        question = self.fields["question"]
        assert isinstance(question, forms.ChoiceField)
        question.choices = [(name, name) for name in names]
        question.initial = settings["question"] or (names[0] if names else "")
        if len(names) < 2:
            del self.fields["question"]


class LlmForm(forms.Form):
    """What `start_llm` takes; costs only where a limit of them can be held."""

    limit = forms.IntegerField(
        label=_("Items, at most"),
        initial=DEFAULT_ASKED,
        min_value=MIN_JUDGED,
        max_value=MOST_ASKED,
        help_text=_("With those by which it is judged: a third of them, from 50 to 300."),
    )
    max_cost = forms.FloatField(
        label=_("Cost, at most"),
        required=False,
        min_value=0,
        help_text=_("In the currency of the prices that are set. Leave empty for no limit but the items."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    def __init__(self, data: Any = None, *, endpoint: Endpoint | None) -> None:
        super().__init__(data)
        if endpoint is None or endpoint.prices is None or endpoint.most_out is None:
            del self.fields["max_cost"]
