"""The rule by which a project accepts answers, in words, with what it rests on: its fits, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _

from annotation.models import Project
from annotation.serializers import show_time
from reviewers.answers import compiled_schema
from reviewers.consensus.preview import count_by_voter
from reviewers.consensus.weighing import weighed_questions
from reviewers.models import ConsensusFit


def tell_rule(rule: Mapping[str, Any]) -> str:
    """A rule for people."""
    if rule["kind"] == "posterior":
        words = {"percent": f"{100 * rule['threshold']:.10g}", "model": rule.get("voter")}
        if rule.get("voter") is None:
            return _("%(percent)s %% sure by what is known of the annotators") % words
        return (
            _("%(percent)s %% sure by what is known of the annotators and of the model “%(model)s”, which votes too")
            % words
        )
    return {"majority": _("more than half agree"), "unanimous": _("all agree")}[rule["kind"]]


def tell_method(method: str) -> str:
    """A consensus method for people."""
    return {
        "majority": _("a plain vote"),
        "shared_coin": _("one accuracy for all annotators"),
        "one_coin": _("one accuracy for each annotator"),
        "mace": _("what each annotator knows, and what they say when they do not"),
        "dawid_skene": _("a table for each annotator: what they say where what is true"),
    }.get(method, method)


def tell_accepting(project: Project) -> str:
    """When answers are accepted; under the posterior rule also what each question is weighed by, and why."""
    told = [_("Accepted when %(rule)s.") % {"rule": tell_rule(project.rule)}]
    if project.rule["kind"] != "posterior":
        return told[0]
    names = {question["id"]: question["name"] for question in weighed_questions(compiled_schema(project))}
    fits = ConsensusFit.objects.filter(project=project, is_current=True, question__in=names).order_by("question")
    for fit in fits:
        words = {"name": names[fit.question], "method": tell_method(fit.method), "reason": fit.reason}
        if fit.n_held_out:
            words["reason"] = _("it foretells %(n)d hidden answers best") % {"n": fit.n_held_out}
        told.append(_("“%(name)s” goes by %(method)s: %(reason)s.") % words)
        if fit.voter is not None and fit.voter["name"] == project.rule.get("voter"):
            told.append(tell_voter(fit.voter))
    if len(told) == 1:
        told.append(_("Until enough is known of them, more than half must agree."))
    return " ".join(told)


def tell_voter(voter: Mapping[str, Any]) -> str:
    """What a fit found of the model that the rule names, in a sentence."""
    if voter["refusal"] is not None:
        return _("The model “%(name)s” does not count: %(refusal)s.") % voter
    low, high = voter["interval"]
    return _(
        "The model “%(name)s”, version %(version)s, is right in %(share).3f of its answers [%(low).3f, %(high).3f], by"
        " %(n_items)d items, %(n_annotators)d people's answers to them and %(n_known)d known values."
    ) % {**voter, "share": voter["accuracy"], "low": low, "high": high}


def consensus_report(project: Project) -> dict[str, Any]:
    """What `GET consensus` answers: the rule, of each question that can be weighed its current fit or None.

    Where a model votes too, `voter` says how many items are agreed by its vote alone.
    """
    fits = {fit.question: fit for fit in ConsensusFit.objects.filter(project=project, is_current=True)}
    questions = weighed_questions(compiled_schema(project))
    by_voter = count_by_voter(project) if project.rule.get("voter") is not None else None
    return {
        "rule": project.rule,
        "questions": [
            {"question": q["name"], "fit": show_fit(fits[q["id"]]) if q["id"] in fits else None} for q in questions
        ],
        "agreed_by_voter": None if by_voter is None else asdict(by_voter),
    }


def show_fit(fit: ConsensusFit) -> dict[str, Any]:
    """A fit as callers see it."""
    return {
        "number": fit.number,
        "method": fit.method,
        "asked_method": fit.asked_method,
        "reason": fit.reason,
        "priors": fit.priors,
        "n_items": fit.n_items,
        "n_labels": fit.n_labels,
        "n_annotators": fit.n_annotators,
        "n_known": fit.n_known,
        "held_out": fit.held_out,
        "n_held_out": fit.n_held_out,
        "is_converged": fit.is_converged,
        "voter": fit.voter,
        "schema_version": fit.schema_version,
        "at": show_time(fit.created_at),
    }
