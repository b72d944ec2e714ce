"""Label schemas: a schema as sent becomes a compiled one, in which every question and choice has an id that lasts.

A compiled schema is JSON::

    {"questions": [{"id": 1, "name": "verdict", "kind": "choice", "column": "choice", "text": "...", "required": true,
                    "when": null or {"question": "verdict", "question_id": 1, "in": ["spam"], "choice_ids": [2]},
                    ...the kind's part}],
     "next_question_id": 3,
     "retired": [{"id": 2, "name": "why", "choices": [], "retired_choices": [...], "next_choice_id": 4}]}

Ids are small integers. A question's id belongs to its name, a choice's id to (question, value), for ever: tombstones
(`retired`, `retired_choices`) keep what left, so that a name that comes back has its old id and a new one never gets a
used id. In `when`, a branch of nested choices stands for every leaf below it: `choice_ids` are leaves. `column` says
what holds an answer (`Kind.COLUMN`): the vote rule in SQL goes by it.

Nothing here reads the database. `show_schema` gives back what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError
from annotation.kinds import KINDS, AnswerError, LabelValue, Parts, Question, SchemaError, get_kind
from annotation.kinds.choice_tree import leaf_ids_under, leaves, walk
from annotation.plain_text import find_text_fault, quote

Compiled = dict[str, Any]

MAX_QUESTIONS = 50
MAX_TEXT = 2000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SHARED_KEYS = frozenset({"name", "kind", "text", "required", "when"})
_WITH_CHOICES = ("choice", "choices")


class AnswersError(TouchstoneError):
    """Some answers do not fit their questions: see `fields`."""

    code = "invalid_answers"
    status = 422

    def __init__(self, fields: dict[str, str]) -> None:
        """`fields`: question name -> sentence, at least one."""
        # The sentence stands alone too: an import shows nothing but `detail`.
        detail = " ".join(f"{name}: {sentence}" for name, sentence in list(fields.items())[:5])
        super().__init__(detail, fields=dict(fields))


class MapError(TouchstoneError):
    """The map from old to new values is not complete or not valid: see `fields`."""

    code = "invalid_map"


@dataclass(frozen=True, slots=True)
class Change:
    """What a new version does to answers given under the old one; `reasons` is empty where it is compatible."""

    kind: Literal["compatible", "breaking"]
    reasons: list[str] = field(default_factory=list)


def compile_schema(raw: object, previous: Compiled | None = None) -> Compiled:
    """Check a schema as sent and return it compiled, ids kept from `previous` (the project's version before).

    1 to 50 questions; unknown keys are refused. SchemaError says where and what to do. `raw` is not changed.
    """
    if not isinstance(raw, dict):
        raise SchemaError(_('A label schema is an object: {"questions": [...]}.'))
    _refuse_unknown(raw, frozenset({"questions"}), _("The schema"))
    sent = raw.get("questions")
    if not isinstance(sent, list) or not sent:
        raise SchemaError(_("`questions` must be a list of at least one question."))
    if len(sent) > MAX_QUESTIONS:
        raise SchemaError(_("A schema has at most %(most)d questions.") % {"most": MAX_QUESTIONS})
    before: Compiled = previous or {"questions": [], "next_question_id": 1, "retired": []}
    known = {question["name"]: question for question in (*before["retired"], *before["questions"])}
    next_id: int = before["next_question_id"]
    questions: list[Question] = []
    for position, one in enumerate(sent, start=1):
        question = _compile_question(one, position, questions, known)
        if question["id"] is None:
            question["id"] = next_id
            next_id += 1
        questions.append(question)
    names = {question["name"] for question in questions}
    retired = [_bury(question) for name, question in known.items() if name not in names]
    return {
        "questions": questions,
        "next_question_id": next_id,
        "retired": sorted(retired, key=lambda question: question["id"]),
    }


def _refuse_unknown(raw: Mapping[Any, Any], known: Collection[str], where: str) -> None:
    unknown = sorted(str(key) for key in raw if key not in known)
    if unknown:
        raise SchemaError(
            _("%(where)s: unknown key %(key)s. Known are: %(known)s.")
            % {"where": where, "key": quote(unknown[0]), "known": ", ".join(sorted(known))}
        )


def _compile_question(raw: object, position: int, earlier: list[Question], known: dict[str, Question]) -> Question:
    where = _("Question %(position)d") % {"position": position}
    if not isinstance(raw, dict):
        raise SchemaError(_("%(where)s: a question must be an object.") % {"where": where})
    name = raw.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SchemaError(
            _("%(where)s: its `name` must be 1 to 63 of a-z, 0-9 and _, beginning with a letter.") % {"where": where}
        )
    where = _("Question %(name)s") % {"name": quote(name)}
    if any(question["name"] == name for question in earlier):
        raise SchemaError(_("%(where)s: this name stands there twice.") % {"where": where})
    try:
        kind = get_kind(raw.get("kind"))
    except SchemaError as error:
        raise SchemaError(f"{where}: {error.detail}") from error
    _refuse_unknown(raw, _SHARED_KEYS | kind.KEYS, where)
    required = raw.get("required")
    if required is not None and not isinstance(required, bool):
        raise SchemaError(_("%(where)s: `required` must be true or false.") % {"where": where})
    question: Question = {"id": None, "name": name, "kind": kind.NAME, "column": kind.COLUMN}
    if raw.get("text") is not None:
        fault = find_text_fault(raw["text"], MAX_TEXT)
        if fault:
            raise SchemaError(_("%(where)s: its `text` %(fault)s.") % {"where": where, "fault": fault})
        question["text"] = raw["text"]
    question["required"] = bool(required)
    question["when"] = _compile_when(raw.get("when"), where, earlier)
    previous = known.get(name)
    if previous is not None:
        question["id"] = previous["id"]
    return question | _keep_choice_ids(kind.compile_question(raw, previous), previous)


def _keep_choice_ids(own: Question, previous: Question | None) -> Question:
    """Carry the tombstones of choices through a version in which the question has another kind, without choices."""
    if previous is None or "next_choice_id" in own or "next_choice_id" not in previous:
        return own
    buried = _bury(previous)
    return own | {"retired_choices": buried["retired_choices"], "next_choice_id": buried["next_choice_id"]}


def _bury(question: Question) -> Question:
    """Return the tombstone of a question: its id, its name, the ids of all the choices that it ever had."""
    left = {"id": question["id"], "name": question["name"]}
    if "next_choice_id" not in question:
        return left
    choices = [
        *question.get("retired_choices", ()),
        *({"id": choice["id"], "value": choice["value"]} for choice in walk(question.get("choices", ()))),
    ]
    return left | {
        "retired_choices": sorted(choices, key=lambda choice: choice["id"]),
        "next_choice_id": question["next_choice_id"],
    }


def _compile_when(raw: object, where: str, earlier: list[Question]) -> dict[str, Any] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise SchemaError(
            _('%(where)s: `when` must be an object: {"question": NAME, "in": [VALUE, ...]}.') % {"where": where}
        )
    _refuse_unknown(raw, frozenset({"question", "in"}), _("%(where)s, `when`") % {"where": where})
    target = next((question for question in earlier if question["name"] == raw.get("question")), None)
    if target is None or target["kind"] not in _WITH_CHOICES:
        raise SchemaError(
            _("%(where)s: `when` must refer to an earlier question of kind choice or choices, not %(name)s.")
            % {"where": where, "name": quote(raw.get("question"))}
        )
    values = raw.get("in")
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise SchemaError(_("%(where)s: `when.in` must be a list of at least one choice.") % {"where": where})
    if len(set(values)) < len(values):
        raise SchemaError(_("%(where)s: `when.in` names a choice twice.") % {"where": where})
    try:
        ids = leaf_ids_under(target, values)
    except KeyError as error:
        raise SchemaError(
            _("%(where)s: `when.in` names %(value)s, which is no choice of %(name)s.")
            % {"where": where, "value": quote(error.args[0]), "name": quote(target["name"])}
        ) from error
    return {"question": target["name"], "question_id": target["id"], "in": list(values), "choice_ids": ids}


def show_schema(compiled: Compiled) -> dict[str, Any]:
    """Return the schema in the shape in which it is sent; `required` always stands, absent texts stay absent."""
    questions = []
    for question in compiled["questions"]:
        shown = {key: question[key] for key in ("name", "kind", "text", "required") if key in question}
        if question["when"] is not None:
            shown["when"] = {"question": question["when"]["question"], "in": list(question["when"]["in"])}
        questions.append(shown | KINDS[question["kind"]].show_question(question))
    return {"questions": questions}


def render_schema(compiled: Compiled) -> list[dict[str, Any]]:
    """Return each question as its kind renders it, with `id`, `name`, `kind`, `text` (its name where it has none),
    `required`, and `when` as `{"question", "in": [leaf values]}` or None.
    """
    by_id = {question["id"]: question for question in compiled["questions"]}
    rendered = []
    for question in compiled["questions"]:
        when = question["when"]
        if when is not None:
            asked_for = set(when["choice_ids"])
            leaf_values = [c["value"] for c in leaf_choices(by_id[when["question_id"]]) if c["id"] in asked_for]
            when = {"question": when["question"], "in": leaf_values}
        shared = {key: question[key] for key in ("id", "name", "kind", "required")}
        shared |= {"text": text_of(question), "when": when}
        rendered.append(shared | KINDS[question["kind"]].render(question))
    return rendered


def find_question(compiled: Compiled, name: str) -> Question | None:
    """Return the compiled question of that name, or None."""
    return next((question for question in compiled["questions"] if question["name"] == name), None)


def text_of(question: Question) -> str:
    """Return what people read of a question: its text, its name where it has none."""
    return str(question.get("text") or question["name"])


def leaf_choices(question: Question) -> list[Question]:
    """Return the choices of a question that can be answers, in schema order; [] for a kind without choices."""
    return list(leaves(question.get("choices", ())))


def asked(compiled: Compiled, values: Mapping[int, LabelValue]) -> set[int]:
    """Return the ids of the questions that are asked, given the answers so far (question id -> value).

    A question with `when` is asked only once the question it refers to is itself asked and answered with one of
    the named choices (for `choices`: at least one of them).
    """
    open_ids: set[int] = set()
    for question in compiled["questions"]:
        when = question["when"]
        if when is None:
            open_ids.add(question["id"])
        elif when["question_id"] in open_ids and (value := values.get(when["question_id"])) is not None:
            chosen = value.choices if value.choice is None else [value.choice]
            if not set(when["choice_ids"]).isdisjoint(chosen or ()):
                open_ids.add(question["id"])
    return open_ids


def parse_answers(
    compiled: Compiled,
    answers: object,
    *,
    known: Mapping[int, LabelValue] | None = None,
    required: Collection[int] | None = None,
    read_parts: Callable[[], Parts | None] = lambda: None,
) -> dict[int, LabelValue]:
    """Check a whole submission (question name -> value) and return question id -> value, in schema order.

    A null is no answer. `known` holds values that already stand (an adjudication answers only some questions): they
    decide what is asked, an answer replaces them, and they are not returned. `required` are the ids of the questions
    that must be answered; by default those that the schema says. A question that is not asked needs no answer and may
    have none. `read_parts` is called, once, where an answer points into the item, and returns its parts; None, as for
    an item whose content is not there any more, lets such an answer be checked by its form alone. AnswersError carries
    one sentence per question that is wrong, all of them at once.
    """
    if not isinstance(answers, dict):
        raise AnswersError({"answers": _('Answers are an object: {"QUESTION": VALUE}.')})
    names = [question["name"] for question in compiled["questions"]]
    faults: dict[str, str] = {}
    for name in [str(name) for name in answers if name not in names][:10]:
        faults[name[:63]] = _("There is no question %(name)s. The questions are: %(known)s.") % {
            "name": quote(name),
            "known": ", ".join(names),
        }
    parsed: dict[int, LabelValue] = {}
    parts_once = cache(read_parts)
    for question in compiled["questions"]:
        value = answers.get(question["name"])
        if value is not None:
            kind = KINDS[question["kind"]]
            try:
                parsed[question["id"]] = kind.parse_answer(question, value, parts_once() if kind.PARTS else None)
            except AnswerError as error:
                faults[question["name"]] = error.detail
    _check_asked(compiled, parsed, known or {}, required, faults)
    if faults:
        raise AnswersError(faults)
    return parsed


def _check_asked(
    compiled: Compiled,
    parsed: dict[int, LabelValue],
    known: Mapping[int, LabelValue],
    required: Collection[int] | None,
    faults: dict[str, str],
) -> None:
    """Add a sentence to `faults` for each answer to a question that is not asked, and each required one that lacks."""
    values = {**known, **parsed}
    open_ids = asked(compiled, values)
    unsure: set[int] = set()  # answered wrongly, or depending on such: whether these are asked cannot be said
    for question in compiled["questions"]:
        name, question_id, when = question["name"], question["id"], question["when"]
        if name in faults or (when is not None and when["question_id"] in unsure):
            unsure.add(question_id)
        elif question_id not in open_ids:
            if question_id in parsed:
                faults[name] = _("This is asked only where %(question)s is answered with %(values)s.") % {
                    "question": quote(when["question"]),
                    "values": ", ".join(quote(value) for value in when["in"][:5]),
                }
        elif question_id not in values and (question["required"] if required is None else question_id in required):
            faults[name] = _("This question needs an answer.")


def show_answers(compiled: Compiled, values: Mapping[int, LabelValue]) -> dict[str, Any]:
    """Return question name -> answer as callers send it: the inverse of `parse_answers`. Other ids are left out."""
    return {
        question["name"]: KINDS[question["kind"]].show_value(question, values[question["id"]])
        for question in compiled["questions"]
        if question["id"] in values
    }


def classify_change(old: Compiled, new: Compiled) -> Change:
    """Say whether every annotation made under `old` is still a whole and valid one under `new`.

    Breaking: a question or choice leaves, a kind changes, a range narrows, an answer becomes required, or `when` asks
    more of a required question or less of any. All else is compatible: optional questions, choices, texts, keys, order.
    """
    reasons: list[str] = []
    before = {question["name"]: question for question in old["questions"]}
    after = {question["name"]: question for question in new["questions"]}
    for name, question in before.items():
        if name not in after:
            reasons.append(_("Question %(name)s is gone") % {"name": quote(name)})
        elif question["kind"] != after[name]["kind"]:
            reasons.append(
                _("%(name)s changes its kind from %(old)s to %(new)s")
                % {"name": quote(name), "old": question["kind"], "new": after[name]["kind"]}
            )
        else:
            reasons += KINDS[question["kind"]].find_breaks(question, after[name])
    for name, question in after.items():
        earlier = before.get(name)
        if question["required"] and not (earlier and earlier["required"]):
            reasons.append(_("%(name)s becomes required") % {"name": quote(name)})
        if earlier is not None:
            reasons += _find_when_breaks(earlier, question, before)
    return Change("breaking", reasons) if reasons else Change("compatible")


def _find_when_breaks(old: Question, new: Question, before: dict[str, Question]) -> list[str]:
    was, now = old["when"], new["when"]
    if was is None and now is None:
        return []
    if was is not None and now is not None and was["question_id"] == now["question_id"]:
        # A choice that is new in this version was never answered: asking for it too changes nothing that is stored.
        existing = set(before[was["question"]].get("leaf_ids", ()))
        lost = set(was["choice_ids"]) - set(now["choice_ids"])
        more = (set(now["choice_ids"]) - set(was["choice_ids"])) & existing
    else:
        lost, more = {0} if now is not None else set(), {0} if was is not None else set()
    if lost:
        return [_("%(name)s is asked of fewer items") % {"name": quote(new["name"])}]
    if more and new["required"]:
        return [_("%(name)s is required and asked of more items") % {"name": quote(new["name"])}]
    return []


def validate_map(old: Compiled, new: Compiled, raw: object) -> dict[int, dict[int, int | None]]:
    """Check `{"QUESTION": {"old value": "new value" or null}}` and return question id -> {old code: new code or None}.

    None means: ask again. The result holds every answer of `old` for every question of `old`; an old value that still
    stands and is not named maps to itself. A question that is gone maps to None throughout and need not be named.
    Ratings are named as text ("4"). Kinds whose answers are not listed (numbers, texts, spans and their like) are all
    asked again. MapError carries a sentence per question.
    """
    if not isinstance(raw, dict):
        raise MapError(_('A map is an object: {"QUESTION": {"old": "new" or null}}.'))
    names = {question["name"] for question in (*old["questions"], *new["questions"])}
    faults = {
        str(name)[:63]: _("There is no question %(name)s.") % {"name": quote(name)} for name in raw if name not in names
    }
    complete: dict[int, dict[int, int | None]] = {}
    for question in old["questions"]:
        name = question["name"]
        given = raw.get(name)
        given = {} if given is None else given
        if not isinstance(given, dict):
            faults[name] = _('This must be an object: {"old": "new" or null}.')
            continue
        try:
            complete[question["id"]] = _map_question(question, find_question(new, name), given)
        except MapError as error:
            faults[name] = error.detail
    if faults:
        raise MapError(" ".join(f"{name}: {fault}" for name, fault in list(faults.items())[:5]), fields=faults)
    return complete


def _map_question(old: Question, new: Question | None, given: dict[str, Any]) -> dict[int, int | None]:
    before = KINDS[old["kind"]].domain(old)
    after = {} if new is None else KINDS[new["kind"]].domain(new)
    unknown = [value for value in given if value not in before]
    if unknown:
        raise MapError(_("%(value)s was no answer to this question.") % {"value": quote(unknown[0])})
    mapped: dict[int, int | None] = {}
    unsaid: list[str] = []
    for value, code in before.items():
        target = given.get(value, value if value in after else None)
        if value not in given and value not in after and new is not None:
            unsaid.append(value)
        elif target is None:
            mapped[code] = None
        elif not isinstance(target, str) or target not in after:
            raise MapError(_("%(value)s is no answer in the new version.") % {"value": quote(target)})
        else:
            mapped[code] = after[target]
    if unsaid:
        raise MapError(
            _("Say what becomes of %(values)s: a new value, or null to ask again.")
            % {"values": ", ".join(quote(value) for value in unsaid[:10])}
        )
    return mapped


def carry_value(
    old: Question, new: Question, mapping: Mapping[int, int | None], value: LabelValue
) -> LabelValue | None:
    """Return what an answer to `old` becomes under `new` by one question's map from `validate_map`; None: ask again.

    Of a set of choices one "ask again" is enough to ask the whole question again. Of a kind whose values are not listed
    (numbers, texts, spans) nothing can be mapped.
    """
    if not KINDS[old["kind"]].domain(old):
        return None
    codes: Iterable[int | None] = [mapping.get(code) for code in KINDS[old["kind"]].codes(old, value)]
    kept = [code for code in codes if code is not None]
    if len(kept) < len(list(codes)):
        return None
    return KINDS[new["kind"]].from_codes(new, kept)
