"""The overview of a project: to each role what is theirs, and what to do next."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.access import Access
from annotation.audit.latest import known_violations
from annotation.kinds import KINDS, Question
from annotation.models import Event, Item, Member, Project, User
from annotation.pace import is_paced
from annotation.progress import (
    Progress,
    count_disputes,
    jobs_to_show,
    keep_if_large,
    project_progress,
    work_by_person,
)
from annotation.templatetags.charts import format_number
from annotation.views.page import ProjectPage
from learning import reports
from learning.models import Round, Snapshot
from learning.snapshots.schedule import count_new
from learning.views.learning import metric_words, model_figures, shown_question
from reviewers.agreement.recount import known_alarm
from reviewers.agreement.report import project_agreement
from reviewers.answers import compiled_schema
from reviewers.consensus.rules import tell_accepting
from reviewers.people.scorecards import accepted_shares

MOST_RECENT = 8
MOST_QUESTIONS = 1
ENOUGH_TO_LEARN = 50
ALPHA_AXIS = {"start": -0.2}


class OverviewView(ProjectPage):
    """How far the project is."""

    right = "see"
    tab = "overview"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """An annotator sees their own work; the others what their right opens to them."""
        access = self.enter(slug)
        project = access.project
        may_watch = access.may("import") or access.may("learn")
        jobs = jobs_to_show(project, with_done=False) if may_watch else []
        if request.headers.get("HX-Target") == "jobs":
            return self.show(access, "annotation/project_detail.html", {"jobs": jobs})
        about, _gap, attribution = project.description.partition("\n\n")
        progress = project_progress([project.pk])[project.pk] if access.may("items") else None
        context: dict[str, Any] = {
            "about": about,
            "attribution": attribution,
            "mine": self._mine(access, progress) if access.may("label") else None,
            "progress": {
                "portions": progress.portions,
                "n_items": progress.n_items,
                "n_annotations": progress.n_annotations,
                "counted_at": progress.counted_at,
            }
            if progress
            else None,
            "is_paced": is_paced(project),
            "can_import": access.may("import"),
            "figures": self._figures(access) if progress and progress.n_items else None,
            "accepting": tell_accepting(project) if access.may("resolutions") else "",
            "can_change_rule": access.may("manage"),
            "next_steps": next_steps(access, progress) if progress and progress.n_items else [],
            "annotators": show_annotators(project) if access.may("manage") else None,
            "recent": recent(project) if access.may("manage") else None,
            "violations": known_violations(project) if access.may("manage") else [],
            "alarm": known_alarm(project) if access.may("manage") else None,
            "jobs": jobs,
        }
        return self.show(access, "annotation/project_detail.html", context)

    def _mine(self, access: Access, progress: Progress | None) -> dict[str, Any]:
        n_open = progress.by_state.get("open", 0) if progress else 0
        work = next(iter(work_by_person(access.project, access.user)), None)
        return {
            "n_today": work.n_today if work else 0,
            "n_total": work.n_total if work else 0,
            "median_seconds": work.median_seconds if work else None,
            "can_label": access.project.state == Project.State.ACTIVE and (progress is None or bool(n_open)),
        }

    def _figures(self, access: Access) -> list[dict[str, Any]]:
        figures: list[dict[str, Any]] = []
        if access.may("agreement"):
            questions = [q for q in compiled_schema(access.project)["questions"] if KINDS[q["kind"]].LEVEL]
            for question in sorted(questions, key=lambda one: not one["required"])[:MOST_QUESTIONS]:
                figures += agreement_figures(access.project, question)
        if access.may("learn"):
            question = shown_question(access.project)
            figures += model_figures(access.project, question)[:1] if question else []
            figures.append(holdout_figure(access.project))
        return figures


def agreement_figures(project: Project, question: Question) -> list[dict[str, Any]]:
    """Raw agreement and alpha on one question; the figure says where simulated people took part.

    Alpha is the one of the question's level: for a rating a 4 beside a 5 is nearly agreed.
    """
    shown = ("raw_agreement", f"alpha_{KINDS[question['kind']].LEVEL}")
    report = project_agreement(project, question)
    words = metric_words()
    n_simulated = report["n_simulated_annotators"]
    note = (
        ngettext("%(n)d of the annotators is simulated", "%(n)d of the annotators are simulated", n_simulated)
        % {"n": n_simulated}
        if n_simulated
        else ""
    )
    if not note and project.overlap_max == 1:
        note = _("Each item is answered once here. With two answers or more, set in the settings, agreement shows.")
    figures = [figure for figure in report["metrics"] if figure["metric"] in shown]
    return [
        figure
        | {
            "label": f"{words.get(figure['metric'], figure['metric'])}, {question['name']}",
            "note": note,
            "is_simulated": bool(n_simulated),
        }
        | (ALPHA_AXIS if figure["metric"].startswith("alpha") else {})
        for figure in figures
    ]


def holdout_figure(project: Project) -> dict[str, Any]:
    """How full the holdout is, as a tile: a count, which has no interval."""
    holdout = keep_if_large(project.pk, "holdout", lambda: reports.holdout_state(project))
    missing = holdout["n_needed"] - holdout["n_resolved"]
    note = (
        ngettext("%(n)d more is needed to judge a model", "%(n)d more are needed to judge a model", missing)
        % {"n": missing}
        if missing > 0
        else _("enough to judge a model")
    )
    return {
        "label": _("Holdout, accepted items"),
        "value": float(holdout["n_resolved"]),
        "is_count": True,
        "note": note,
        "method": _("a count, never trained on"),
    }


def next_steps(access: Access, progress: Progress) -> list[dict[str, str]]:
    """What this role would do next, the most useful first; nothing where there is nothing to do."""
    project, steps = access.project, []

    def add(icon: str, title: str, text: str, name: str, action: str) -> None:
        url = reverse(name, kwargs={"slug": project.slug})
        steps.append({"icon": icon, "title": title, "text": text, "url": url, "action": action})

    if access.may("review") and (n := count_disputes([project.pk]).get(project.pk)):
        title = ngettext("%(n)d dispute waits", "%(n)d disputes wait", n) % {"n": n}
        add(
            "gavel",
            title,
            _("The annotators could not agree on these within the allowed answers."),
            "project-disputes",
            _("Decide disputes"),
        )
    if (
        access.may("manage")
        and not Member.objects.filter(
            project=project, role=Member.Role.ANNOTATOR, is_active=True, user__kind=User.Kind.PERSON
        ).exists()
    ):
        add(
            "person",
            _("No annotators yet"),
            _("Add the people who label here; you may label as well. Simulated ones are not counted."),
            "project-members",
            _("Add people"),
        )
    is_learnable = access.may("learn") and shown_question(project) is not None
    if is_learnable and progress.n_resolved >= ENOUGH_TO_LEARN and not Round.objects.filter(project=project).exists():
        add(
            "robot",
            _("Enough to learn from"),
            _("Train a first model, and let it choose what is labelled next."),
            "project-learning",
            _("Start a round"),
        )
    if access.may("snapshot") and progress.n_resolved:
        published = Snapshot.objects.filter(project=project, state=Snapshot.State.PUBLISHED)
        last = published.order_by("-major", "-minor", "-patch").first()
        n_new = keep_if_large(project.pk, f"new-since-{last.pk if last else 0}", lambda: count_new(project, last))
        if n_new:
            since = _("since %(version)s") % {"version": last.version} if last else _("and no snapshot yet")
            title = ngettext("%(n)d label accepted %(since)s", "%(n)d labels accepted %(since)s", n_new)
            add(
                "snapshot",
                title % {"n": n_new, "since": since},
                _("Freeze them, and training code can name them for ever."),
                "project-snapshots",
                _("Make a snapshot"),
            )
    return steps


def show_annotators(project: Project) -> list[dict[str, Any]]:
    """Everybody who labelled, most first. Simulated and imported people are marked as such."""
    shares = keep_if_large(project.pk, "shares", lambda: accepted_shares(project))
    return [
        {
            "name": work.name,
            "n_annotations": work.n_total,
            "n_today": work.n_today,
            "agreement": shares.get(work.person_id) or {"refusal": _("no settled label yet")},
            "median_seconds": work.median_seconds,
            "source": work.source,
        }
        for work in keep_if_large(project.pk, "people", lambda: work_by_person(project))
    ]


_TOLD = (
    "item.adjudicated",
    "items.imported",
    "snapshot.published",
    "round.finished",
    "round.failed",
    "guideline.published",
    "schema.published",
    "member.set",
    "member.removed",
    "project.created",
    "project.changed",
)


def recent(project: Project) -> list[dict[str, Any]]:
    """The newest events that people care about, in words, newest first."""
    outside = User.objects.exclude(kind=User.Kind.PERSON)  # simulated and imported people come and go unseen
    wanted = Event.objects.filter(project=project, kind__in=_TOLD).exclude(
        kind__startswith="member.", ref_id__in=outside.values("pk")
    )
    events = list(wanted.select_related("actor").order_by("-pk")[:MOST_RECENT])
    items = dict(
        Item.objects.filter(pk__in=[event.item_id for event in events if event.item_id is not None]).values_list(
            "pk", "external_id"
        )
    )
    people = [event.ref_id for event in events if event.kind.startswith("member.") and event.ref_id is not None]
    names = {user.pk: user.name for user in User.objects.filter(pk__in=people)}
    return [{"at": event.at, "text": _tell(event, items, names)} for event in events]


def _tell(event: Event, items: dict[int, str], names: dict[int, str]) -> str:
    data = event.data or {}
    who = event.actor.name if event.actor else _("The server")
    version = data.get("version", "")
    match event.kind:
        case "item.adjudicated":
            return _("%(who)s decided %(item)s") % {"who": who, "item": items.get(event.item_id or 0, "")}
        case "items.imported":
            n = int(data.get("imported", data.get("n", 0)) or 0)
            return ngettext("%(n)s item came in", "%(n)s items came in", n) % {"n": format_number(n, digits=0)}
        case "snapshot.published":
            return _("Snapshot %(version)s was made") % {"version": version}
        case "round.finished":
            return _("Learning round %(number)s finished") % {"number": data.get("number", "")}
        case "round.failed":
            return _("A learning round failed")
        case "guideline.published":
            return _("%(who)s published guideline %(version)s") % {"who": who, "version": version}
        case "schema.published":
            return _("%(who)s published label schema %(version)s") % {"who": who, "version": version}
        case "member.set":
            role = dict(Member.Role.choices).get(data.get("role", ""), "")
            return _("%(name)s is in the project as %(role)s") % {
                "name": names.get(event.ref_id or 0, ""),
                "role": role,
            }
        case "member.removed":
            return _("%(name)s left the project") % {"name": names.get(event.ref_id or 0, "")}
        case "project.created":
            return _("The project was made")
        case _:
            return _("%(who)s changed the settings") % {"who": who}
