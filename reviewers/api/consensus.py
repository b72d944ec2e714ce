"""The API's routes about the rule by which answers are accepted: what it rests on, what another would change."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.bodies import read_object
from annotation.api.shapes import STARTED, shape
from annotation.api.view import ApiView, accept_job
from reviewers.actions.consensus import start_fit
from reviewers.consensus.preview import CHANGES, preview_rule, show_preview
from reviewers.consensus.rules import consensus_report

_FIT = shape(
    "ConsensusFit",
    number=s.IntegerField(),
    method=s.CharField(),
    asked_method=s.CharField(),
    reason=s.CharField(),
    priors=s.CharField(),
    n_items=s.IntegerField(),
    n_labels=s.IntegerField(),
    n_annotators=s.IntegerField(),
    n_known=s.IntegerField(),
    held_out=s.DictField(child=s.FloatField()),
    n_held_out=s.IntegerField(),
    voter=type(
        shape(
            "ConsensusVoter",
            name=s.CharField(),
            version=s.CharField(allow_null=True),
            refusal=s.CharField(allow_null=True, help_text="why it does not count; what follows is then left out"),
            accuracy=s.FloatField(required=False),
            interval=s.ListField(child=s.FloatField(), required=False, min_length=2, max_length=2),
            n_items=s.IntegerField(required=False, help_text="that it was compared on"),
            n_annotators=s.IntegerField(required=False, help_text="people who answered these"),
            n_known=s.IntegerField(required=False, help_text="of these, decided by a reviewer or with a gold label"),
        )
    )(allow_null=True, help_text="the model that the rule named, and what the fit found it to be worth"),
    is_converged=s.BooleanField(),
    schema_version=s.IntegerField(),
    at=s.DateTimeField(),
)
_CONSENSUS = shape(
    "Consensus",
    rule=s.JSONField(),
    questions=type(shape("ConsensusQuestion", question=s.CharField(), fit=type(_FIT)(allow_null=True)))(many=True),
    agreed_by_voter=type(
        shape(
            "AgreedByVoter",
            n_items=s.IntegerField(help_text="agreed, with the model's vote counted"),
            n_looked_at=s.IntegerField(help_text="all of them, or a random sample"),
            n_only=s.IntegerField(help_text="of these, not agreed by people alone"),
            interval=s.ListField(child=s.IntegerField(), allow_null=True, min_length=2, max_length=2),
        )
    )(allow_null=True, help_text="null where the rule names no model"),
)
_PREVIEW = shape(
    "RulePreview",
    rule=s.JSONField(),
    n_items=s.IntegerField(help_text="with answers, and not decided by a reviewer"),
    n_looked_at=s.IntegerField(help_text="all of them, or a random sample"),
    n_decided=s.IntegerField(help_text="decided by a reviewer: no rule changes them"),
    changes=type(
        shape(
            "RuleChange",
            change=s.ChoiceField(list(CHANGES)),
            n=s.IntegerField(),
            interval=s.ListField(child=s.IntegerField(), allow_null=True, min_length=2, max_length=2),
            examples=type(shape("RuleExample", id=s.CharField(), external_id=s.CharField()))(many=True),
        )
    )(many=True),
)


class ConsensusView(ApiView):
    """What is known of the annotators' skill, by question."""

    @extend_schema(responses=_CONSENSUS)
    def get(self, request: Request, slug: str) -> Response:
        """The rule, and the current fit of each question that can be weighed: its method, and why this one."""
        return Response(consensus_report(project_for(self.caller, slug, "resolutions").project))

    @extend_schema(request=None, responses={202: STARTED})
    def post(self, request: Request, slug: str) -> Response:
        """Fit anew, by a job. Under the posterior rule it happens by itself once a tenth of the answers is new."""
        access = project_for(self.caller, slug, "manage")
        return accept_job(start_fit(project=access.project, actor=access.user))


class RulePreviewView(ApiView):
    """What another rule would change."""

    @extend_schema(request=shape("WantedRule", rule=s.JSONField()), responses=_PREVIEW)
    def post(self, request: Request, slug: str) -> Response:
        """Count what a rule would change of what is accepted now, with examples. Nothing is changed.

        Of more than 2,000 items a random sample is looked at; `n` is then an estimate with its 95 % interval.
        """
        access = project_for(self.caller, slug, "manage")
        body = read_object(request.data, ("rule",), required=("rule",))
        return Response(show_preview(preview_rule(access.project, body["rule"])))
