"""The list of projects, a new one, and looking at a demo project through another role's eyes."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.access import OWNER, RIGHTS, Caller, project_for, projects_for
from annotation.actions import projects as actions
from annotation.audit.latest import known_violations
from annotation.errors import ForbiddenError, InvalidError, StateError, TouchstoneError
from annotation.forms import ProjectForm
from annotation.models import Member, Project
from annotation.progress import OwnWork, Progress, count_disputes, own_counts, project_progress
from annotation.views.page import Page, add_error

MOST_LISTED = 200


class ProjectListView(Page):
    """The projects that a person is in."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """One card each, with the one thing that this person would do next."""
        projects = list_projects(self.caller)
        is_first = bool(projects) and all(
            one["is_demo"] and one["role"] == OWNER and not one["mine"].n_total for one in projects
        )
        # What belongs to no project is for those who run the installation.
        violations = known_violations(None) if self.caller.user.is_superuser else []
        context = {
            "projects": projects,
            "is_first_visit": is_first,
            "can_create": True,
            "violations": violations,
            "nav": "projects",
        }
        return render(request, "annotation/project_list.html", context)


def list_projects(caller: Caller) -> list[dict[str, Any]]:
    """The cards of the list. A project's figures are only for those who may see its items."""
    projects = list(projects_for(caller)[:MOST_LISTED])
    members = {member.project_id: member for member in Member.objects.filter(user=caller.user, is_active=True)}
    roles: dict[int, str] = {}
    for project in projects:
        own = OWNER if caller.user.is_superuser else members[project.pk].role
        roles[project.pk] = (caller.role_seen(project) or own) if own == OWNER else own
    wide = [project.pk for project in projects if _may(roles[project.pk], "items")]
    progress = project_progress(wide)
    disputes = count_disputes([project.pk for project in projects if _may(roles[project.pk], "review")])
    mine = own_counts(caller.user, list(roles))
    return [
        {
            "slug": project.slug,
            "name": project.name,
            "role": roles[project.pk],
            "state": project.state,
            "is_demo": project.is_demo,
            "about": project.description.partition("\n")[0],
            "portions": progress[project.pk].portions if project.pk in progress else [],
            "n_items": progress[project.pk].n_items if project.pk in progress else None,
            "mine": mine.get(project.pk, OwnWork()) if _may(roles[project.pk], "label") else None,
            "n_disputes": disputes.get(project.pk),
            "next": _next_step(
                project, roles[project.pk], progress.get(project.pk), disputes.get(project.pk, 0), mine.get(project.pk)
            ),
        }
        for project in projects
    ]


def _may(role: str, right: str) -> bool:
    return role == OWNER or role in RIGHTS[right]


def _next_step(
    project: Project, role: str, progress: Progress | None, n_disputes: int, mine: OwnWork | None
) -> dict[str, str] | None:
    def step(name: str, text: str) -> dict[str, str]:
        return {"url": reverse(name, kwargs={"slug": project.slug}), "text": text}

    if project.state == Project.State.ARCHIVED:
        return None
    if progress is not None and not progress.n_items:
        return step("project-import", _("Import items")) if _may(role, "import") else None
    is_all_answered = progress is not None and not progress.by_state.get("open")
    if n_disputes and (role != OWNER or is_all_answered):
        return step("project-disputes", _("Decide disputes"))
    if _may(role, "label") and project.state == Project.State.ACTIVE and not is_all_answered:
        return step("project-label", _("Go on labelling") if mine and mine.n_total else _("Start labelling"))
    return step("project-learning", _("See the model")) if _may(role, "learn") else None


class ProjectNewView(Page):
    """A new project with one question; more questions come by the API or the command line."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form."""
        assert self.caller
        return self._show(request, ProjectForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make it; who makes it is its owner."""
        caller, form = self.caller, ProjectForm(request.POST)
        if not form.is_valid():
            return self._show(request, form, 400)
        found = form.cleaned_data
        try:
            project = actions.create_project(
                slug=found["slug"],
                name=found["name"],
                schema=form.schema(),
                settings={"overlap": found["overlap"]},
                owner=caller.user,
            )
        except TouchstoneError as error:
            add_error(form, error)
            return self._show(request, form, error.status)
        messages.success(request, _("The project is there. Bring its items next."))
        return redirect("project-import", slug=project.slug)

    def _show(self, request: HttpRequest, form: ProjectForm, status: int = 200) -> HttpResponse:
        return render(request, "annotation/project_new.html", {"form": form, "nav": "projects"}, status=status)


class ViewAsView(Page):
    """Owners of a demo project look at it through another role's eyes, and back."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Remember the role in the session; an empty one is one's own again."""
        access = project_for(self.caller, slug)
        if access.own_role != OWNER:
            raise ForbiddenError
        role = request.POST.get("role", "")
        if role and not access.project.is_demo:
            raise StateError(_("Only demo projects can be looked at through another role's eyes."))
        if role and (role not in Member.Role.values or role == OWNER):
            raise InvalidError(fields={"role": _("One of: annotator, reviewer, engineer.")})
        seen = dict(request.session.get("seen_as", {}))
        seen.pop(str(access.project.pk), None)
        if role:
            seen[str(access.project.pk)] = role
        request.session["seen_as"] = seen
        # The overview: not every page is open to every role.
        return redirect("project", slug=slug)
