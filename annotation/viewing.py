"""How content is shown to a person at first: hidden, blurred, grey, muted, small, masked. As they wish, above a floor.

A *view* is what one kind of content is shown with: `hidden` (not requested until revealed), `blur` (0 to 5), `grey`,
`mute`, `size` (`full`, `medium`, `small`) and `mask` (listed words covered in text), those of them that the kind knows.
There is a view for each kind at two levels: `ordinary`, and `severe` for items whose severity is that. A person sets
both; at the level `severe` the organisation's floor holds too, and the stricter of the two is in force. A view is how
an item begins: what is hidden can be revealed, and what is blurred can be made clear, one item at a time.

No claim is made that any of this protects people (`docs/care.md`): they are here because people ask for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from annotation.errors import InvalidError

LEVELS = ("ordinary", "severe")
SIZES = ("full", "medium", "small")
MAX_BLUR = 5
View = dict[str, Any]
Views = dict[str, dict[str, View]]  # level -> kind -> view

# What each kind of content knows, and how it is shown before anybody sets anything.
_KINDS: dict[str, dict[str, View]] = {
    "text": {"ordinary": {"hidden": False, "mask": False}, "severe": {"hidden": True, "mask": True}},
    "image": {
        "ordinary": {"hidden": False, "blur": 0, "grey": False, "size": "full"},
        "severe": {"hidden": True, "blur": 2, "grey": False, "size": "medium"},
    },
    "audio": {"ordinary": {"hidden": False, "mute": False}, "severe": {"hidden": True, "mute": True}},
    "video": {
        "ordinary": {"hidden": False, "blur": 0, "grey": False, "mute": True, "size": "full"},
        "severe": {"hidden": True, "blur": 2, "grey": False, "mute": True, "size": "medium"},
    },
}
KINDS = tuple(_KINDS)
DEFAULT_VIEWS: Views = {level: {kind: dict(_KINDS[kind][level]) for kind in KINDS} for level in LEVELS}
DEFAULT_FLOOR: dict[str, View] = {
    "image": {"hidden": True},
    "audio": {"hidden": True},
    "video": {"hidden": True, "mute": True},
}


def settings_of(kind: str) -> tuple[str, ...]:
    """The settings that a kind of content knows, in the order in which they are asked."""
    return tuple(_KINDS[kind]["ordinary"])


def views_in_force(own: Mapping[str, Any], floor: Mapping[str, Any]) -> Views:
    """How things are shown: as the person set it (`own`: level -> kind -> what differs), severe ones above `floor`."""
    views: Views = {
        level: {kind: {**DEFAULT_VIEWS[level][kind], **own.get(level, {}).get(kind, {})} for kind in KINDS}
        for level in LEVELS
    }
    for kind, least in floor.items():
        view = views["severe"][kind]
        for name, value in least.items():
            view[name] = stricter(name, view[name], value)
    return views


def stricter(name: str, one: Any, other: Any) -> Any:
    """The one of two values of a setting that shows less."""
    if name == "size":
        return max(one, other, key=SIZES.index)
    return max(one, other)


def parse_views(sent: object) -> Views:
    """A person's views, checked: level -> kind -> view, any of them left out. Raises InvalidError."""
    if not isinstance(sent, dict) or set(sent) - set(LEVELS):
        raise InvalidError(fields={"views": _("An object with: %(known)s.") % {"known": ", ".join(LEVELS)}})
    return {level: parse_level(kinds, f"views.{level}") for level, kinds in sent.items()}


def parse_level(sent: object, where: str) -> dict[str, View]:
    """Views of one level, checked: kind -> view, any left out. `where` is the field that an error names."""
    if not isinstance(sent, dict) or set(sent) - set(KINDS):
        raise InvalidError(fields={where: _("An object with: %(known)s.") % {"known": ", ".join(KINDS)}})
    for kind, view in sent.items():
        if not isinstance(view, dict) or set(view) - set(settings_of(kind)):
            known = ", ".join(settings_of(kind))
            raise InvalidError(fields={f"{where}.{kind}": _("An object with: %(known)s.") % {"known": known}})
        for name, value in view.items():
            if fault := _find_fault(name, value):
                raise InvalidError(fields={f"{where}.{kind}.{name}": fault})
    return sent


def _find_fault(name: str, value: object) -> str | None:
    if name == "size":
        return None if value in SIZES else _("One of: %(known)s.") % {"known": ", ".join(SIZES)}
    if name == "blur":
        is_right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_BLUR
        return None if is_right else _("A whole number from %(low)d to %(high)d.") % {"low": 0, "high": MAX_BLUR}
    return None if isinstance(value, bool) else _("true or false.")


def view_classes(view: Mapping[str, Any]) -> str:
    """The CSS classes that show content as this view says (`static/css/touchstone.css`), in one string."""
    classes = ["view"]
    if view.get("hidden"):
        classes.append("view-hidden")
    if view.get("blur"):
        classes.append(f"view-blur-{view['blur']}")
    if view.get("grey"):
        classes.append("view-grey")
    if view.get("size", "full") != "full":
        classes.append(f"view-{view['size']}")
    if view.get("mask"):
        classes.append("view-mask")
    return " ".join(classes)
