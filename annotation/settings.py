"""A project's settings, as sent and as stored: each checked once, here, with a sentence for what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from annotation.care import LIMITS, parse_support, parse_words
from annotation.errors import InvalidError, NotYetError
from annotation.learnable import learnable_of, tell_unlearnable
from annotation.models import Organisation, Project
from annotation.plain_text import find_line_fault, quote
from annotation.sentence_models import SENTENCES, find_fault

LEARNING_DEFAULTS: dict[str, Any] = {
    "question": None,
    "every": 100,
    "every_hours": None,
    "batch": 100,
    "strategy": "margin",
    "estimator": "auto",
    "random_share": 0.2,
    "holdout_share": 0.2,
    "text": "auto",
    "keywords": "",
    "llm_accuracy": 0.7,
}
# By what of a text it is learned (`learning.algorithms.features.texts`).
TEXT_FEATURES = ("auto", "words", "characters", "both", SENTENCES)
# What chooses a batch, the one to use without choosing first (`learning.algorithms.strategies`).
STRATEGIES = (
    "adaptive",
    "margin",
    "entropy",
    "least_confident",
    "kmeans",
    "ranked",
    "coreset",
    "rare",
    "vote_entropy",
    "consensus_entropy",
    "random",
)
PROPOSED_STRATEGY = STRATEGIES[0]
# By what models are made (`learning.algorithms.estimators.recipes`), and those that need torch.
ESTIMATORS = ("auto", "logistic", "embedding_bag", "cnn", "fusion")
TORCH_ESTIMATORS = ("embedding_bag", "cnn")
MAX_KEYWORDS = 5000
RULES = ("majority", "unanimous", "posterior")
CONSENSUS_METHODS = ("evidence", "one_coin", "mace", "dawid_skene")
POSTERIOR_DEFAULTS: dict[str, Any] = {"threshold": 0.95, "method": "evidence"}
MIN_BLIND_SHARE = 0.1


def parse_settings(
    sent: Mapping[str, Any], compiled: Mapping[str, Any], organisation: Organisation, current: Project | None = None
) -> dict[str, Any]:
    """Check settings and return the columns they set. Only what is named is returned.

    Raises InvalidError with a sentence per field; NotYetError for values that are not offered yet.
    """
    faults: dict[str, str] = {}
    columns: dict[str, Any] = {}
    for name, value in sent.items():
        parse = _PARSERS.get(name)
        if parse is None:
            faults[name] = _("There is no such setting. Known: %(known)s.") % {"known": ", ".join(sorted(_PARSERS))}
            continue
        try:
            columns.update(parse(value, compiled, organisation, current))
        except _Fault as fault:
            faults[name] = str(fault)
    for check in (_check_blind_share, _check_posterior_overlap, _check_voter):
        faults = faults or check(columns, current)
    if faults:
        raise InvalidError(fields=faults)
    return columns


def show_settings(project: Project) -> dict[str, Any]:
    """The settings of a project, in the shape in which they are sent."""
    low, high = project.overlap_min, project.overlap_max
    return {
        "name": project.name,
        "description": project.description,
        "state": project.state,
        "overlap": low if low == high else {"min": low, "max": high},
        "rule": project.rule,
        "skips_to_dispute": project.skips_to_dispute,
        "lease_seconds": project.lease_seconds,
        "max_held": project.max_held,
        "shown_metadata": project.shown_metadata,
        "show_external_id": project.show_external_id,
        "learning": project.learning,
        "snapshots": project.snapshots,
        "gold_rate": project.gold_rate,
        "suggestions": project.suggestions,
        "blind_share": project.blind_share,
        "care": project.care,
    }


def learning_settings(project: Project) -> dict[str, Any]:
    """The learning settings in force: the project's, or the defaults (`every` None: no round starts by itself)."""
    return (
        {**LEARNING_DEFAULTS, "every": None} if project.learning is None else {**LEARNING_DEFAULTS, **project.learning}
    )


class _Fault(Exception):
    """A sentence about one field."""


def _whole(value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _Fault(_("A whole number from %(low)d to %(high)d.") % {"low": low, "high": high})
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise _Fault(_("A number from 0 to 1."))
    return float(value)


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or "\x00" in value:
        raise _Fault(_("A text of at most %(most)d characters.") % {"most": most})
    return value


def _known_keys(value: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or set(value) - set(known):
        raise _Fault(_("An object with: %(known)s.") % {"known": ", ".join(known)})
    return value


def _name(value: Any, *_rest: Any) -> dict[str, Any]:
    name = _text(value, 200).strip()
    if not name:
        raise _Fault(_("A name has 1 to 200 characters."))
    return {"name": name}


def _description(value: Any, *_rest: Any) -> dict[str, Any]:
    return {"description": _text(value, 5000)}


def _state(value: Any, *_rest: Any) -> dict[str, Any]:
    if value not in Project.State.values:
        raise _Fault(_("One of: %(known)s.") % {"known": ", ".join(Project.State.values)})
    return {"state": value}


def _overlap(value: Any, _compiled: Any, organisation: Organisation, _current: Any) -> dict[str, Any]:
    most = organisation.max_overlap
    if isinstance(value, dict):
        _known_keys(value, ("min", "max"))
        low = _whole(value.get("min"), 1, most)
        return {"overlap_min": low, "overlap_max": _whole(value.get("max"), low, most)}
    low = _whole(value, 1, most)
    return {"overlap_min": low, "overlap_max": low}


def _rule(value: Any, _compiled: Any, _organisation: Any, current: Project | None) -> dict[str, Any]:
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in RULES:
        raise _Fault(_("An object with `kind`: one of: %(known)s.") % {"known": ", ".join(RULES)})
    if kind != "posterior":
        return {"rule": {"kind": _known_keys(value, ("kind",))["kind"]}}
    sent = {**POSTERIOR_DEFAULTS, **_known_keys(value, ("kind", *POSTERIOR_DEFAULTS, "voter"))}
    threshold = sent["threshold"]
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0.5 <= threshold < 1:
        raise _Fault(_("`threshold`: a number from 0.5 to below 1, such as 0.95."))
    if sent["method"] not in CONSENSUS_METHODS:
        raise _Fault(_("`method`: one of: %(known)s.") % {"known": ", ".join(CONSENSUS_METHODS)})
    voter = _voter(sent.get("voter"), current)
    return {"rule": {"kind": kind, "threshold": float(threshold), "method": sent["method"], **voter}}


def _voter(name: Any, current: Project | None) -> dict[str, str]:
    """The model that votes beside people; nothing where people vote alone. `learning_origin`: the learning app's."""
    if name is None:
        return {}
    fault = find_line_fault(name, 100)
    if fault is not None:
        raise _Fault(_("`voter` %(fault)s.") % {"fault": fault})
    origin = None
    if current is not None:
        with connection.cursor() as cursor:
            cursor.execute("select learning_origin(%s, %s)", [current.pk, name])
            origin = cursor.fetchone()[0]
    if origin == "trained":
        raise _Fault(
            _(
                "`voter`: %(name)s was trained here, on these very labels: it would be asked about what it was told."
                " Name a model whose predictions were sent in, or null."
            )
            % {"name": quote(name)}
        )
    if origin is None:
        raise _Fault(
            _("`voter`: no model called %(name)s has sent predictions here. Send them first, then name it.")
            % {"name": quote(name)}
        )
    return {"voter": name}


def _check_posterior_overlap(columns: Mapping[str, Any], current: Project | None) -> dict[str, str]:
    """From one answer an item nobody's skill can be told, and the rule would believe whoever came first."""
    rule = columns.get("rule", current.rule if current else {})
    least = columns.get("overlap_min", current.overlap_min if current else 1)
    most = columns.get("overlap_max", current.overlap_max if current else 1)
    if rule.get("kind") != "posterior" or least >= 2 or columns.keys().isdisjoint({"rule", "overlap_min"}):
        return {}
    field = "overlap" if "overlap_min" in columns else "rule"
    if rule.get("voter") is None:
        return {
            field: _(
                "The posterior rule needs at least two answers to each item, to tell how good the annotators are: from"
                ' one it would be worse than a vote. Send an `overlap` such as {"min": 2, "max": 5} with it.'
            )
        }
    if most >= 2:
        return {}
    return {
        field: _(
            "One answer is enough only where the model says the same: elsewhere a second person is asked. Send an"
            ' `overlap` such as {"min": 1, "max": 5} with it.'
        )
    }


def _check_voter(columns: Mapping[str, Any], current: Project | None) -> dict[str, str]:
    """Who has seen a model's suggestion leans to it: its vote would be counted twice."""
    rule = columns.get("rule", current.rule if current else {})
    is_shown = columns.get("suggestions", current.suggestions if current else False)
    if rule.get("voter") is None or not is_shown or columns.keys().isdisjoint({"rule", "suggestions"}):
        return {}
    return {
        "suggestions" if "suggestions" in columns else "rule": _(
            "A model cannot vote where annotators see suggestions: who has seen one leans to it, and it would be"
            " counted twice. Send `suggestions` false, or a rule without `voter`."
        )
    }


def _skips(value: Any, *_rest: Any) -> dict[str, Any]:
    return {"skips_to_dispute": _whole(value, 1, 1000)}


def _lease_seconds(value: Any, _compiled: Any, organisation: Organisation, _current: Any) -> dict[str, Any]:
    return {"lease_seconds": _whole(value, organisation.min_lease_seconds, organisation.max_lease_seconds)}


def _max_held(value: Any, _compiled: Any, organisation: Organisation, _current: Any) -> dict[str, Any]:
    return {"max_held": _whole(value, 1, organisation.max_held)}


def _shown_metadata(value: Any, *_rest: Any) -> dict[str, Any]:
    if not isinstance(value, list) or len(value) > 100:
        raise _Fault(_("A list of at most 100 metadata keys."))
    return {"shown_metadata": [_text(key, 200) for key in value]}


def _show_external_id(value: Any, *_rest: Any) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise _Fault(_("true or false."))
    return {"show_external_id": value}


def _learning(value: Any, compiled: Mapping[str, Any], _organisation: Any, current: Project | None) -> dict[str, Any]:
    """`holdout_share_now` starts at what is set; the learning app turns it to 0 once the holdout is full."""
    if value is None:
        return {"learning": None, "holdout_share_now": LEARNING_DEFAULTS["holdout_share"]}
    sent = {**LEARNING_DEFAULTS, **_known_keys(value, tuple(LEARNING_DEFAULTS))}
    if sent["question"] is not None:
        names = [question["name"] for question in learnable_of(compiled)]
        if sent["question"] not in names:
            asked = next((q for q in compiled["questions"] if q["name"] == sent["question"]), None)
            told = "" if asked is None else f"{tell_unlearnable(asked)} "
            known = {"names": ", ".join(names) or _("(none can be learned)")}
            raise _Fault(told + _("`question`: one of: %(names)s.") % known)
    if sent["strategy"] not in STRATEGIES:
        raise _Fault(_("`strategy`: one of: %(known)s.") % {"known": ", ".join(STRATEGIES)})
    _check_estimator(sent["estimator"])
    if sent["text"] not in TEXT_FEATURES:
        raise _Fault(_("`text`: one of: %(known)s.") % {"known": ", ".join(TEXT_FEATURES)})
    _check_text(sent["text"], current)
    for name in ("every", "every_hours"):
        if sent[name] is not None:
            _whole(sent[name], 1, 10_000_000)
    _whole(sent["batch"], 1, 1_000_000)
    sent["random_share"] = _share(sent["random_share"])
    sent["holdout_share"] = _share(sent["holdout_share"])
    sent["keywords"] = _text(sent["keywords"], MAX_KEYWORDS).strip()
    sent["llm_accuracy"] = _share(sent["llm_accuracy"])
    return {"learning": sent, "holdout_share_now": sent["holdout_share"]}


def _check_estimator(name: Any) -> None:
    if name not in ESTIMATORS:
        raise _Fault(_("`estimator`: one of: %(known)s.") % {"known": ", ".join(ESTIMATORS)})
    # A host without scikit-learn fits nothing itself and cannot tell what its workers have; a round says so then.
    if name in TORCH_ESTIMATORS and find_spec("sklearn") is not None and find_spec("torch") is None:
        raise _Fault(
            _("`estimator`: %(name)s needs torch, which is not installed here: pip install 'touchstone[torch]'")
            % {"name": name}
        )


def _check_text(asked: str, current: Project | None) -> None:
    """What is set already stays: the host may have lost its model for a while, and other settings must not wait."""
    if asked != SENTENCES or (current is not None and learning_settings(current)["text"] == SENTENCES):
        return
    fault = find_fault()
    if fault is not None:
        raise _Fault(_("`text`: %(name)s cannot be chosen: %(fault)s.") % {"name": SENTENCES, "fault": fault})


def _snapshots(value: Any, *_rest: Any) -> dict[str, Any]:
    if value is None:
        return {"snapshots": None}
    sent = _known_keys(value, ("every_hours", "every_resolutions"))
    if not sent:
        raise _Fault(_("Give `every_hours` or `every_resolutions`."))
    return {"snapshots": {key: _whole(number, 1, 10_000_000) for key, number in sent.items()}}


def _gold_rate(value: Any, *_rest: Any) -> dict[str, Any]:
    if _share(value) != 0:
        raise NotYetError(_("Mixing gold items in is not offered yet: `gold_rate` must be 0."))
    return {"gold_rate": 0.0}


def _suggestions(value: Any, *_rest: Any) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise _Fault(_("true or false."))
    return {"suggestions": value}


def _blind_share(value: Any, *_rest: Any) -> dict[str, Any]:
    return {"blind_share": _share(value)}


def _check_blind_share(columns: Mapping[str, Any], current: Project | None) -> dict[str, str]:
    """With no suggestion withheld, an item without one would be known for one of the evaluation set (Q13)."""
    wanted = {name: columns.get(name, getattr(current, name, 0)) for name in ("suggestions", "blind_share")}
    if not wanted["suggestions"] or wanted["blind_share"] >= MIN_BLIND_SHARE or columns.keys().isdisjoint(wanted):
        return {}
    return {
        "blind_share": _(
            "Where suggestions are shown, chance withholds at least %(least)s of them: items of the evaluation set have"
            " none and must look like others, and the effect can be measured. Send a `blind_share` from %(least)s to 1."
        )
        % {"least": MIN_BLIND_SHARE}
    }


def _care(value: Any, _compiled: Any, organisation: Organisation, _current: Any) -> dict[str, Any]:
    """Limits may be stricter than the organisation's, never looser; support and words come on top of its own."""
    if value is None:
        return {"care": None}
    sent = _known_keys(value, (*LIMITS, "support", "masked_words"))
    least = {"severe_in_a_row": 1}
    try:
        checked: dict[str, Any] = {
            name: _whole(number, least.get(name, 0), getattr(organisation, name))
            for name, number in sent.items()
            if name in LIMITS[:3] and number is not None
        }
        if (pause := sent.get("severe_pause_seconds")) is not None:
            checked["severe_pause_seconds"] = _whole(pause, organisation.severe_pause_seconds, 24 * 3600)
    except _Fault as fault:
        raise _Fault(
            _("%(fault)s A project's limits on severe items may be stricter than the organisation's, never looser.")
            % {"fault": fault}
        ) from fault
    try:
        support, words = parse_support(sent.get("support", "")), parse_words(sent.get("masked_words", []))
    except InvalidError as error:
        raise _Fault(" ".join(error.fields.values())) from error
    own = {"support": support, "masked_words": words}
    return {"care": {**checked, **{name: one for name, one in own.items() if one}} or None}


_PARSERS = {
    "care": _care,
    "name": _name,
    "description": _description,
    "state": _state,
    "overlap": _overlap,
    "rule": _rule,
    "skips_to_dispute": _skips,
    "lease_seconds": _lease_seconds,
    "max_held": _max_held,
    "shown_metadata": _shown_metadata,
    "show_external_id": _show_external_id,
    "learning": _learning,
    "snapshots": _snapshots,
    "gold_rate": _gold_rate,
    "suggestions": _suggestions,
    "blind_share": _blind_share,
}
