"""Choices in order: the answer is a list of places, best first, each a list of the choices that share it.

`[["a"], ["b", "c"]]`: a before b and c, which are level. Stored with the choices' ids, ascending in each place.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from annotation.kinds import choice_tree, uncoded
from annotation.kinds.kind import AnswerError, FormField, LabelValue, Parts, Question, SchemaError
from annotation.kinds.own_keys import take_flag
from annotation.plain_text import quote

NAME = "ranking"
KEYS = frozenset({"choices", "ties", "top"})
FORM = (
    FormField("choices", _lazy("Choices"), "choices"),
    FormField("top", _lazy("Only the best"), "number", _lazy("Leave empty to rank all.")),
    FormField("ties", _lazy("Choices may share a place"), "check"),
)
LEVEL = ""
COLUMN = "data"
PARTS: frozenset[str] = frozenset()

domain = uncoded.domain
codes = uncoded.codes
from_codes = uncoded.from_codes


def compile_question(raw: Question, previous: Question | None) -> Question:
    """Keep `choices` (2 to 1,000, without children), `ties` (whether choices may share a place), and `top`.

    Without `top` an answer ranks every choice; with it exactly so many, the best ones: 1 to the number of choices.
    """
    own = choice_tree.compile_choices(raw, previous, is_flat=True)
    where = _("Question %(name)s") % {"name": quote(raw["name"])}
    n_choices = len(own["choices"])
    if n_choices < 2:
        raise SchemaError(_("%(where)s: a ranking needs at least two choices.") % {"where": where})
    own |= take_flag(raw, "ties")
    if raw.get("top") is not None:
        top = raw["top"]
        if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= n_choices:
            raise SchemaError(
                _("%(where)s: `top` must be a whole number from 1 to %(most)d, the number of choices.")
                % {"where": where, "most": n_choices}
            )
        own["top"] = top
    return own


def show_question(question: Question) -> Question:
    """Return `choices`, and those of `ties` and `top` that were given."""
    shown: Question = {"choices": choice_tree.show_choices(question["choices"])}
    return shown | {key: question[key] for key in ("ties", "top") if key in question}


def find_breaks(old: Question, new: Question) -> list[str]:
    """A choice that left, one that is new where all are ranked, another `top` and no more ties break."""
    name, breaks = quote(old["name"]), choice_tree.find_choice_breaks(old, new)
    if _n_ranked(old) != _n_ranked(new):
        breaks.append(_("%(name)s wants another number of choices ranked") % {"name": name})
    if old.get("ties") and not new.get("ties"):
        breaks.append(_("%(name)s no longer allows ties") % {"name": name})
    return breaks


def _n_ranked(question: Question) -> int:
    """How many choices an answer ranks."""
    n: int = question.get("top", len(question["choices"]))
    return n


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept a list of places, each a list of at least one choice; each choice stands once."""
    name = question["name"]
    if not isinstance(value, list) or any(not isinstance(place, list) or not place for place in value):
        raise AnswerError(name, _('The answer must be a list of places, each a list of choices: [["a"], ["b"]].'))
    known = {choice["value"]: choice["id"] for choice in question["choices"]}
    given = [one for place in value for one in place]
    for one in given:
        if not isinstance(one, str) or one not in known:
            raise AnswerError(name, _("%(value)s is not one of the choices of this question.") % {"value": quote(one)})
    if len(set(given)) < len(given):
        twice = next(one for one in given if given.count(one) > 1)
        raise AnswerError(name, _("%(value)s stands there twice.") % {"value": quote(twice)})
    if not question.get("ties") and any(len(place) > 1 for place in value):
        raise AnswerError(name, _("Two choices share a place; this question does not allow ties."))
    if len(given) != _n_ranked(question):
        told = _("Rank the best %(n)d choices.") if "top" in question else _("Rank all %(n)d choices.")
        raise AnswerError(name, told % {"n": _n_ranked(question)})
    return LabelValue(data=[sorted(known[one] for one in place) for place in value])


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the places with the choices' values, those of one place in the order of the schema.

    A choice that left the schema keeps its value; KeyError for no answer.
    """
    if value.data is None:
        raise KeyError(question["name"])
    names = choice_tree.name_choices(question)
    order = {number: place for place, number in enumerate(names)}
    return [[names[number] for number in sorted(place, key=order.__getitem__)] for place in value.data]


def tell(question: Question, value: Any) -> str:
    """The choices from the best to the last: "a > b = c"."""
    texts = choice_tree.choice_texts(question)
    return " > ".join(" = ".join(texts.get(one, one) for one in place) for place in value)


def is_same(question: Question, a: LabelValue, b: LabelValue) -> bool:
    """The same choices in the same places."""
    return a.data == b.data


def distance(question: Question, a: LabelValue, b: LabelValue) -> float:
    """Share of the pairs of choices that are ordered differently; one that only the one has level counts half.

    Choices that were not ranked are level behind all others. Kendall's distance with the penalty 1/2 of R. Fagin,
    R. Kumar, M. Mahdian, D. Sivakumar, E. Vee (2006), Comparing Partial Rankings, doi:10.1137/05063088X.
    """
    places = [
        {choice: place for place, choices in enumerate(value.data or ()) for choice in choices} for value in (a, b)
    ]
    pairs = list(combinations(question["leaf_ids"], 2))
    signs = [[_order(place, one, other) for one, other in pairs] for place in places]
    return float(sum(abs(left - right) / 2 for left, right in zip(*signs, strict=True)) / len(pairs))


def _order(places: dict[int, int], one: int, other: int) -> int:
    """-1 where `one` comes before `other`, 1 where it comes after, 0 where they are level."""
    last = len(places)
    before, after = places.get(one, last), places.get(other, last)
    return (before > after) - (before < after)


def render(question: Question) -> dict[str, Any]:
    """`options` are the choices with their keys; `ties`; `top`, the number of choices to rank."""
    return {
        "template": "annotation/kinds/given.html",
        "widget": NAME,
        "options": choice_tree.render_options(question["choices"]),
        "ties": bool(question.get("ties")),
        "top": _n_ranked(question),
    }
