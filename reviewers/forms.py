"""The reviewers' forms: fields and words. What a value may be is checked by the actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from annotation.settings import POSTERIOR_DEFAULTS
from reviewers.consensus.voters import names_of


class RuleForm(forms.Form):
    """The rule by which answers are accepted. What the posterior rule alone needs is passed over by the others."""

    kind = forms.ChoiceField(
        label=_("Accepted when"),
        choices=[
            ("majority", _("more than half agree")),
            ("unanimous", _("all agree")),
            ("posterior", _("it is sure enough, by what is known of the annotators")),
        ],
    )
    threshold = forms.FloatField(
        label=_("How sure"),
        min_value=0.5,
        max_value=0.9999,
        help_text=_(
            "From 0.5 to below 1. At 0.95 at most one accepted answer in twenty is expected to be wrong, where people"
            " do not all make the same mistakes."
        ),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    method = forms.ChoiceField(
        label=_("Annotators are told apart by"),
        choices=[
            ("evidence", _("what foretells answers best")),
            ("one_coin", _("one accuracy for each")),
            ("mace", _("what each knows, and what they say when they do not")),
            ("dawid_skene", _("a table for each: what they say where what is true")),
        ],
    )

    voter = forms.ChoiceField(
        label=_("Votes beside people"),
        required=False,
        help_text=_(
            "A model whose predictions were sent in. What its answer is worth is learnt from people's, as a person's"
            " is; it never settles an item alone, nor one of the evaluation set."
        ),
    )

    def __init__(self, data: Mapping[str, Any] | None = None, *, project: Project) -> None:
        sent = None if data is None else {**POSTERIOR_DEFAULTS, **{name: data[name] for name in data}}
        super().__init__(sent, initial={**POSTERIOR_DEFAULTS, **project.rule})
        self.models = names_of(project)
        voter = self.fields["voter"]
        assert isinstance(voter, forms.ChoiceField)
        voter.choices = [("", _("no model: people alone")), *((name, name) for name in self.models)]

    def rule(self) -> dict[str, Any]:
        """The rule that a valid form says, as it is sent."""
        found = self.cleaned_data
        if found["kind"] != "posterior":
            return {"kind": found["kind"]}
        voter = {"voter": found["voter"]} if found["voter"] else {}
        return {name: found[name] for name in ("kind", *POSTERIOR_DEFAULTS)} | voter
