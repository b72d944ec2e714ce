"""The forms about care: a person's own settings, and the organisation's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from annotation.care import BREAK_MINUTES, LIMITS
from annotation.models import CareProfile
from annotation.viewing import DEFAULT_VIEWS, KINDS, LEVELS, MAX_BLUR, SIZES, View, Views, settings_of, views_in_force

KIND_NAMES = {"text": _("Text"), "image": _("Images"), "audio": _("Sound"), "video": _("Video")}
LEVEL_NAMES = {"ordinary": _("Ordinary items"), "severe": _("Severe items")}
SETTING_NAMES = {
    "hidden": _("Hidden until I reveal it"),
    "blur": _("Blur"),
    "grey": _("Shades of grey"),
    "mute": _("Muted at first"),
    "size": _("Size"),
    "mask": _("Cover the words on the list"),
}
SIZE_NAMES = {"full": _("full"), "medium": _("medium"), "small": _("small")}
FIXED = _("Your organisation has set this.")


def make_field(name: str, least: Any = None) -> forms.Field:
    """The field of one setting of a view. `least`: the organisation's floor, below which there is no choice."""
    label = SETTING_NAMES[name]
    if name == "blur":
        low = least or 0
        choices = [(str(n), _("none") if n == 0 else str(n)) for n in range(low, MAX_BLUR + 1)]
        return forms.TypedChoiceField(
            label=label, choices=choices, coerce=int, help_text=FIXED if low == MAX_BLUR else ""
        )
    if name == "size":
        sizes = SIZES[SIZES.index(least) if least else 0 :]
        return forms.ChoiceField(label=label, choices=[(size, SIZE_NAMES[size]) for size in sizes])
    return forms.BooleanField(label=label, required=False, disabled=bool(least), help_text=FIXED if least else "")


class CareForm(forms.Form):
    """What one person sets for themselves: a field for each setting of each view (`severe-image-blur`), and more."""

    opted_out = forms.MultipleChoiceField(
        label=_("Rather not"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    break_minutes = forms.IntegerField(
        label=_("Remind me of a break after so many minutes"),
        required=False,
        min_value=BREAK_MINUTES[0],
        max_value=BREAK_MINUTES[1],
        help_text=_("Of any work. Leave empty for none."),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        profile: CareProfile,
        harms: list[str],
        floor: Mapping[str, View],
    ) -> None:
        views = views_in_force(profile.views, floor)
        initial: dict[str, Any] = {"opted_out": profile.opted_out, "break_minutes": profile.break_minutes}
        super().__init__(data, initial=initial)
        opted_out = self.fields["opted_out"]
        assert isinstance(opted_out, forms.MultipleChoiceField)
        opted_out.choices = [(harm, harm) for harm in harms]
        for level in LEVELS:
            for kind in KINDS:
                for name in settings_of(kind):
                    least = floor.get(kind, {}).get(name) if level == "severe" else None
                    field = make_field(name, least)
                    field.initial = views[level][kind][name]
                    self.fields[f"{level}-{kind}-{name}"] = field

    def views(self) -> Views:
        """A valid form's views: what differs from how things are shown before anybody sets anything."""
        found: Views = {}
        for level in LEVELS:
            for kind in KINDS:
                for name in settings_of(kind):
                    value = self.cleaned_data[f"{level}-{kind}-{name}"]
                    if value != DEFAULT_VIEWS[level][kind][name]:
                        found.setdefault(level, {}).setdefault(kind, {})[name] = value
        return found

    def changes(self) -> dict[str, Any]:
        """What a valid form sets, in the shape in which it is sent."""
        return {
            "views": self.views(),
            "opted_out": self.cleaned_data["opted_out"],
            "break_minutes": self.cleaned_data["break_minutes"],
        }

    def fields_of(self, level: str, kind: str) -> list[BoundField]:
        """The fields of one view, in order."""
        return [self[f"{level}-{kind}-{name}"] for name in settings_of(kind)]


class OrganisationCareForm(forms.Form):
    """What the administrator sets for everybody."""

    severe_items = forms.IntegerField(label=_("Severe items for one person in 24 hours"), min_value=0)
    severe_minutes = forms.IntegerField(label=_("Minutes with severe items for one person in 24 hours"), min_value=0)
    severe_in_a_row = forms.IntegerField(
        label=_("Severe items in a row"),
        min_value=1,
        help_text=_("Then something mild is handed out, or a pause where there is nothing mild."),
    )
    severe_pause_seconds = forms.IntegerField(
        label=_("Seconds of that pause"), min_value=0, help_text=_("0: no pause, and any number in a row.")
    )
    break_minutes = forms.IntegerField(
        label=_("Prompt a break after so many minutes with severe items"),
        min_value=BREAK_MINUTES[0],
        max_value=BREAK_MINUTES[1],
    )
    support = forms.CharField(
        label=_("Where people find support"),
        required=False,
        help_text=_("Shown on the desk and on everybody's page about care: whom to call, and when."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    masked_words = forms.CharField(
        label=_("Words to cover in texts"),
        required=False,
        help_text=_("One to a line. Who wants them covered sees them at a key press."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    def __init__(self, data: Mapping[str, Any] | None = None, *, care: Mapping[str, Any]) -> None:
        initial = {**care, "masked_words": "\n".join(care["masked_words"])}
        super().__init__(data, initial=initial)
        for kind in KINDS:
            for name in settings_of(kind):
                field = make_field(name)
                field.initial = care["floor"].get(kind, {}).get(name, DEFAULT_VIEWS["ordinary"][kind][name])
                self.fields[f"floor-{kind}-{name}"] = field

    def changes(self) -> dict[str, Any]:
        """What a valid form sets, in the shape in which it is sent."""
        found = self.cleaned_data
        floor = {kind: {name: found[f"floor-{kind}-{name}"] for name in settings_of(kind)} for kind in KINDS}
        return {
            **{name: found[name] for name in (*LIMITS, "break_minutes", "support")},
            "masked_words": [line for line in found["masked_words"].splitlines() if line.strip()],
            "floor": floor,
        }

    def fields_of(self, kind: str) -> list[BoundField]:
        """The fields of a kind's floor, in order."""
        return [self[f"floor-{kind}-{name}"] for name in settings_of(kind)]
