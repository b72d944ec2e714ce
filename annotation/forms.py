"""The pages' forms: fields and words. What a value may be is checked by the actions, whose sentences come back here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from annotation.care import LIMITS
from annotation.learnable import learnable_of
from annotation.models import Member, Project
from annotation.schema import Compiled
from annotation.sentence_models import SENTENCES, find_fault
from annotation.settings import (
    ESTIMATORS,
    LEARNING_DEFAULTS,
    MAX_KEYWORDS,
    PROPOSED_STRATEGY,
    STRATEGIES,
    show_settings,
)


class SignInForm(AuthenticationForm):
    """Name and password. `shown_errors` are sentences that no field's check gave."""

    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": _("Name and password do not fit together. Mind capital letters."),
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.shown_errors: list[str] = []
        self.fields["username"].label = _("Name")
        self.fields["password"].label = _("Password")

    def non_field_errors(self) -> Any:
        """The form's own sentences and `shown_errors`."""
        return [*super().non_field_errors(), *self.shown_errors]


class SetupForm(forms.Form):
    """The first owner."""

    username = forms.CharField(
        label=_("Name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        help_text=_("At least 10 characters. A few words that only you would put together are good."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    password_again = forms.CharField(
        label=_("Password, once more"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Both passwords are the same."""
        found = self.cleaned_data
        if found.get("password") and found.get("password_again") and found["password"] != found["password_again"]:
            self.add_error("password_again", _("The two passwords differ."))
        return found


class ProjectForm(forms.Form):
    """A new project with one question."""

    name = forms.CharField(label=_("Name"), max_length=200)
    slug = forms.CharField(
        label=_("Short name"),
        required=False,
        max_length=63,
        help_text=_("For addresses and commands: lower-case letters, digits and hyphens. Made from the name if empty."),
    )
    question = forms.CharField(label=_("Question"), max_length=2000, help_text=_("What is asked about each item."))
    choices = forms.CharField(
        label=_("Answers"),
        help_text=_("One to a line, at least two. The first nine get the keys 1 to 9."),
        widget=forms.Textarea(attrs={"rows": 5}),
    )
    overlap = forms.IntegerField(
        label=_("People for each item"),
        initial=1,
        min_value=1,
        help_text=_("More than one makes agreement measurable. Can be changed later."),
    )

    def clean_choices(self) -> list[str]:
        """The lines that say something."""
        lines = [line.strip() for line in self.cleaned_data["choices"].splitlines() if line.strip()]
        if len(lines) < 2:
            raise forms.ValidationError(_("Give at least two answers, one a line."))
        return lines

    def clean(self) -> dict[str, Any]:
        """A short name out of the name, where none was given."""
        found = self.cleaned_data
        if not found.get("slug"):
            found["slug"] = slugify(found.get("name", ""))[:63].strip("-")
            if not found["slug"]:
                self.add_error("slug", _("Give a short name: none can be made from this name."))
        return found

    def schema(self) -> dict[str, Any]:
        """The label schema of a valid form."""
        return {
            "questions": [
                {
                    "name": "label",
                    "kind": "choice",
                    "text": self.cleaned_data["question"],
                    "required": True,
                    "choices": [{"value": line} for line in self.cleaned_data["choices"]],
                }
            ]
        }


class ImportForm(forms.Form):
    """A file of items."""

    file = forms.FileField()
    partial = forms.BooleanField(required=False)
    update_metadata = forms.BooleanField(required=False)


class MemberForm(forms.Form):
    """Somebody to add. Only an administrator may make accounts, so only they are asked."""

    username = forms.CharField(
        label=_("Name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    role = forms.ChoiceField(label=_("Role"), choices=Member.Role.choices)
    team = forms.CharField(label=_("Team"), required=False, max_length=100)
    languages = forms.CharField(
        label=_("Languages"),
        required=False,
        help_text=_("Language tags, separated by commas, such as en, pt-BR. Leave empty for any language."),
    )
    is_new = forms.BooleanField(label=_("Make an account if there is none of this name"), required=False)

    def __init__(self, *args: Any, may_make_accounts: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_make_accounts:
            del self.fields["is_new"]

    def clean_languages(self) -> list[str]:
        """The tags."""
        return [tag for tag in re.split(r"[\s,;]+", self.cleaned_data["languages"]) if tag]


_TEXT_CHOICES = [
    ("auto", _("what suits the project")),
    ("words", _("their words")),
    ("characters", _("runs of their characters")),
    ("both", _("both")),
]


class SettingsForm(forms.Form):
    """A project's settings, each under its own name; what has parts (overlap, learning, snapshots) under theirs.

    The rule has a page of its own, which shows what another one would change.
    """

    name = forms.CharField(label=_("Name"), max_length=200)
    description = forms.CharField(label=_("About"), required=False, widget=forms.Textarea(attrs={"rows": 3}))
    state = forms.ChoiceField(
        label=_("State"),
        choices=Project.State.choices[:2],
        help_text=_("While a project is paused, nobody is given new items."),
    )
    overlap_min = forms.IntegerField(label=_("Answers wanted for each item"), min_value=1)
    overlap_max = forms.IntegerField(
        label=_("Answers at most"),
        min_value=1,
        help_text=_("Where the first ones differ, more people are asked, up to this many; then a reviewer decides."),
    )
    skips_to_dispute = forms.IntegerField(label=_("Skips before a reviewer looks"), min_value=1)
    lease_seconds = forms.IntegerField(
        label=_("Seconds to answer"),
        min_value=1,
        help_text=_("After that an item may go to somebody else; a late answer still counts while nobody took it."),
    )
    max_held = forms.IntegerField(label=_("Items one person may hold at once"), min_value=1)
    shown_metadata = forms.CharField(
        label=_("Metadata that annotators see"),
        required=False,
        help_text=_("Keys, separated by commas. Leave empty to show none."),
    )
    show_external_id = forms.BooleanField(label=_("Annotators see the items' own ids"), required=False)
    learning_question = forms.ChoiceField(label=_("Question to learn"), required=False)
    learning_every = forms.IntegerField(
        label=_("New round after"),
        required=False,
        min_value=1,
        help_text=_("This many newly accepted labels. Leave empty to start none by number."),
    )
    learning_every_hours = forms.IntegerField(
        label=_("Hours between rounds"),
        required=False,
        min_value=1,
        help_text=_("Where something new was accepted. Leave empty for none by the clock."),
    )
    learning_batch = forms.IntegerField(label=_("Items chosen in a round"), min_value=1)
    learning_strategy = forms.ChoiceField(
        label=_("Chosen by"),
        choices=[(name, name) for name in STRATEGIES],
        help_text=_("Adaptive needs no choosing: unsure items, spread out, and a rare label where there is one."),
    )
    learning_estimator = forms.ChoiceField(
        label=_("Model"),
        choices=[(name, name) for name in ESTIMATORS],
        help_text=_("Auto takes what was measured to be best for these items. Embedding_bag and cnn need torch."),
    )
    learning_random_share = forms.FloatField(
        label=_("Share chosen at random"), min_value=0, max_value=1, widget=forms.NumberInput(attrs={"step": "any"})
    )
    learning_holdout_share = forms.FloatField(
        label=_("Share of served work from the holdout"),
        min_value=0,
        max_value=1,
        help_text=_("Until the holdout is full. Models are judged on it and never trained on it."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    learning_text = forms.ChoiceField(
        label=_("Texts are learned by"),
        choices=_TEXT_CHOICES,
        help_text=_(
            "Characters teach more from few labels and see through misspelling; words take less room and time."
        ),
    )
    learning_llm_accuracy = forms.FloatField(
        label=_("Accuracy that a language model must reach"),
        min_value=0,
        max_value=1,
        help_text=_("By the lower end of its interval, on answers that are known; else nothing that it says is shown."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    learning_keywords = forms.CharField(
        label=_("Words to start by"),
        required=False,
        max_length=MAX_KEYWORDS,
        help_text=_("Such as a policy forbids. Before there is a model, texts most like them are chosen first."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    suggestions = forms.BooleanField(
        label=_("Annotators see what the model suggests"),
        required=False,
        help_text=_("Never on items of the holdout, and never as an answer: they still decide."),
    )
    blind_share = forms.FloatField(
        label=_("Share of suggestions withheld"),
        min_value=0,
        max_value=1,
        help_text=_("By chance, so that it can be measured how far people follow the model. At least 0.1 where shown."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    snapshots_every_hours = forms.IntegerField(
        label=_("Hours between snapshots"),
        required=False,
        min_value=1,
        help_text=_("Leave empty for none by the clock."),
    )
    snapshots_every_resolutions = forms.IntegerField(
        label=_("New labels between snapshots"),
        required=False,
        min_value=1,
        help_text=_("Leave empty for none by number."),
    )

    care_severe_items = forms.IntegerField(
        label=_("Severe items for one person in 24 hours"),
        required=False,
        min_value=0,
        help_text=_("Leave empty for the organisation's limit; a project may be stricter, never looser."),
    )
    care_severe_minutes = forms.IntegerField(
        label=_("Minutes with severe items for one person in 24 hours"), required=False, min_value=0
    )
    care_severe_in_a_row = forms.IntegerField(
        label=_("Severe items in a row"),
        required=False,
        min_value=1,
        help_text=_("Then something mild is handed out, or a pause where there is nothing mild."),
    )
    care_severe_pause_seconds = forms.IntegerField(label=_("Seconds of that pause"), required=False, min_value=0)
    care_support = forms.CharField(
        label=_("Where people find support"),
        required=False,
        help_text=_("Shown on this project's desk, above what the organisation says."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    care_masked_words = forms.CharField(
        label=_("Words to cover in texts"),
        required=False,
        help_text=_("One to a line, on top of the organisation's. Who wants them covered sees them at a key press."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, data: Mapping[str, Any] | None = None, *, project: Project, compiled: Compiled) -> None:
        super().__init__(data, initial=spread_settings(project))
        names = [question["name"] for question in learnable_of(compiled)]
        text = self.fields["learning_text"]
        assert isinstance(text, forms.ChoiceField)
        if find_fault() is None or self.initial["learning_text"] == SENTENCES:
            text.choices = [*_TEXT_CHOICES, (SENTENCES, _("sentence embeddings too"))]
        field = self.fields["learning_question"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("the only one there is")), *((name, name) for name in names)]
        if project.state == Project.State.ARCHIVED:
            state = self.fields["state"]
            assert isinstance(state, forms.ChoiceField)
            state.choices = Project.State.choices

    def settings(self, project: Project) -> dict[str, Any]:
        """What a valid form changes, in the shape in which settings are sent."""
        found = self.cleaned_data
        low, high = found["overlap_min"], found["overlap_max"]
        learning = {key: found[f"learning_{key}"] for key in LEARNING_DEFAULTS} | {
            "question": found["learning_question"] or None
        }
        is_default = learning == _PROPOSED_LEARNING
        snapshots = {key: found[f"snapshots_{key}"] for key in ("every_hours", "every_resolutions")}
        words = {" ".join(line.lower().split()) for line in found["care_masked_words"].splitlines()}
        care = {
            **{name: found[f"care_{name}"] for name in LIMITS},
            "support": found["care_support"].strip() or None,
            "masked_words": sorted(words - {""}) or None,
        }
        wanted = {
            **{key: found[key] for key in _PLAIN},
            "overlap": low if low == high else {"min": low, "max": high},
            "shown_metadata": [key.strip() for key in found["shown_metadata"].split(",") if key.strip()],
            "learning": None if is_default and project.learning is None else learning,
            "snapshots": {key: n for key, n in snapshots.items() if n} or None,
            "care": {name: n for name, n in care.items() if n is not None} or None,
        }
        now = show_settings(project)
        return {key: value for key, value in wanted.items() if value != now[key]}


# What the page offers where nothing is set: as in the API, but for a strategy that needs no choosing.
_PROPOSED_LEARNING = {**LEARNING_DEFAULTS, "every": None, "strategy": PROPOSED_STRATEGY}
_PLAIN = (
    "name",
    "description",
    "state",
    "skips_to_dispute",
    "lease_seconds",
    "max_held",
    "show_external_id",
    "suggestions",
    "blind_share",
)
SETTINGS_FIELDS = {
    "overlap": "overlap_max",
    "learning": "learning_question",
    "snapshots": "snapshots_every_hours",
    "care": "care_severe_items",
}


def spread_settings(project: Project) -> dict[str, Any]:
    """A project's settings by the names of the form's fields."""
    learning = {**_PROPOSED_LEARNING, **({} if project.learning is None else {**LEARNING_DEFAULTS, **project.learning})}
    return {
        **{key: getattr(project, key) for key in _PLAIN},
        "overlap_min": project.overlap_min,
        "overlap_max": project.overlap_max,
        "shown_metadata": ", ".join(project.shown_metadata),
        **{f"learning_{key}": learning[key] for key in LEARNING_DEFAULTS},
        **{f"snapshots_{key}": (project.snapshots or {}).get(key) for key in ("every_hours", "every_resolutions")},
        **{f"care_{name}": (project.care or {}).get(name) for name in (*LIMITS, "support")},
        "care_masked_words": "\n".join((project.care or {}).get("masked_words", ())),
    }
