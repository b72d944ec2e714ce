"""What every page shares: who asks, the project's frame, errors in words, one way to page through lists.

What a page may not show is never in its context. The role that counts is the one that the person looks through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.core.signing import BadSignature, Signer
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views import View, defaults

from annotation.access import OWNER, Access, Caller, caller_of, project_for
from annotation.api.exceptions import as_touchstone_error
from annotation.errors import NotAuthenticatedError, TouchstoneError
from annotation.models import Member
from annotation.progress import count_disputes, is_any_running

Context = dict[str, Any]

# key, URL's name, right
TABS = (
    ("overview", "project", "see"),
    ("label", "project-label", "label"),
    ("disputes", "project-disputes", "review"),
    ("agreement", "project-agreement", "agreement"),
    ("annotators", "project-annotators", "review"),
    ("items", "project-items", "items"),
    ("learning", "project-learning", "learn"),
    ("snapshots", "project-snapshots", "snapshot"),
    ("guideline", "project-guideline", "see"),
    ("schema", "project-schema", "manage"),
    ("quarantine", "project-quarantine", "manage"),
    ("members", "project-members", "manage"),
    ("settings", "project-settings", "manage"),
)
_signer = Signer(salt="touchstone.page")


class Page(View):
    """A page for people who are signed in; everybody else is asked to sign in first."""

    http_method_names = ["get", "post", "head"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Run the handler, and say in words what went wrong."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except Exception as error:
            known = as_touchstone_error(error)
            if known is None:
                raise
            return show_fault(request, known)

    @property
    def caller(self) -> Caller:
        """Who asks. Raises NotAuthenticatedError."""
        return caller_of(self.request)


class ProjectPage(Page):
    """A page inside a project. `right` is what it needs, `tab` the tab that it stands under."""

    right: ClassVar[str] = "see"
    tab: ClassVar[str] = "overview"

    def enter(self, slug: str) -> Access:
        """The caller's access to the project. Raises NotAuthenticatedError, AbsentError, ForbiddenError."""
        return project_for(self.caller, slug, self.right)

    def show(self, access: Access, template: str, context: Context, status: int = 200) -> HttpResponse:
        """The page, in the project's frame. Where htmx only looks after jobs, the jobs alone."""
        jobs = context.get("jobs") or []
        context = {**context, "jobs_running": is_any_running(jobs)}
        if self.request.headers.get("HX-Target") == "jobs":
            response = HttpResponse(render_to_string("annotation/_jobs.html", context, self.request))
            if not context["jobs_running"]:
                response["HX-Refresh"] = "true"  # what the job made is on the rest of the page
            return response
        return render(self.request, template, {**frame(access, self.tab), **context}, status=status)


def frame(access: Access, tab: str) -> Context:
    """The context of `annotation/project_base.html`."""
    project = access.project
    may_view_as = project.is_demo and access.own_role == OWNER
    words = {
        "overview": _("Overview"),
        "label": _("Label"),
        "disputes": _("Disputes"),
        "agreement": _("Agreement"),
        "annotators": _("Annotators"),
        "items": _("Items"),
        "learning": _("Learning"),
        "snapshots": _("Snapshots"),
        "guideline": _("Guideline"),
        "schema": _("Questions"),
        "quarantine": _("Quarantine"),
        "members": _("Members"),
        "settings": _("Settings"),
    }
    counts = {"disputes": count_disputes([project.pk]).get(project.pk)} if access.may("review") else {}
    return {
        "project": project,
        "tabs": [
            {
                "key": key,
                "title": words[key],
                "url": reverse(name, kwargs={"slug": project.slug}),
                "count": counts.get(key),
            }
            for key, name, right in TABS
            if access.may(right)
        ],
        "tab": tab,
        "role": access.role,
        "role_title": {
            "annotator": _("an annotator"),
            "reviewer": _("a reviewer"),
            "engineer": _("an engineer"),
            "owner": _("an owner"),
        }[access.role],
        "can_view_as": may_view_as,
        "view_as": access.role if may_view_as and access.role != OWNER else None,
        "view_as_roles": [
            ("", _("owner")),
            *((role.value, role.label) for role in Member.Role if role != Member.Role.OWNER),
        ],
    }


def show_fault(request: HttpRequest, error: TouchstoneError) -> HttpResponse:
    """What went wrong, as a page with the error's status; somebody who is not signed in is sent to do so."""
    if isinstance(error, NotAuthenticatedError):
        return ask_to_sign_in(request)
    if error.status == 404:
        return defaults.page_not_found(request, Http404())
    if error.status == 403:
        return defaults.permission_denied(request, PermissionDenied())
    if error.status >= 500:
        return HttpResponse(render_to_string("500.html"), status=error.status, headers={"Retry-After": "5"})
    return render(request, "annotation/fault.html", {"detail": sentence_of(error)}, status=error.status)


def ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page and back here (back to the page that a form stood on, for a POST)."""
    where = reverse("sign-in")
    if request.get_full_path() != "/":
        where = f"{where}?{urlencode({'next': request.get_full_path()})}"
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": where})
    return HttpResponseRedirect(where)


def go_to(request: HttpRequest, where: str) -> HttpResponse:
    """To another page: the whole page, also where htmx asked for a part of it."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": where})
    return HttpResponseRedirect(where)


def sentence_of(error: TouchstoneError) -> str:
    """An error in words: its sentence, and those of its fields where there are any."""
    texts = [text for text in error.fields.values() if isinstance(text, str)]
    detail = str(error.detail)
    return " ".join([detail, *(text for text in texts if text not in detail)])


def add_error(form: Form, error: TouchstoneError, names: Mapping[str, str] | None = None) -> None:
    """Put an action's error on a form: at the fields that it names (`names`: action's name -> field), else above it."""
    is_placed = False
    for name, text in error.fields.items():
        field = (names or {}).get(name, name)
        if field in form.fields and isinstance(text, str):
            form.add_error(field, text)
            is_placed = True
    if not is_placed:
        form.add_error(None, sentence_of(error))


def read_position(request: HttpRequest, filters: Mapping[str, str] | None = None) -> list[Any] | None:
    """After which row a list begins, as `next_url` wrote it; None for the start, and for what was not written here."""
    try:
        which, position = _signer.unsign_object(request.GET.get("after", ""))
    except (BadSignature, ValueError, TypeError):
        return None
    return list(position) if which == _which(request, filters) else None


def next_url(
    request: HttpRequest, position: Sequence[Any] | None, filters: Mapping[str, str] | None = None
) -> str | None:
    """The address of the page after the row at `position` (values that JSON can hold); None for None."""
    if position is None:
        return None
    query = request.GET.copy()
    query["after"] = _signer.sign_object([_which(request, filters), list(position)])
    return f"{request.path}?{query.urlencode()}"


def first_url(request: HttpRequest) -> str | None:
    """The address of the list's first page; None on it."""
    query = request.GET.copy()
    if query.pop("after", None) is None:
        return None
    return f"{request.path}?{query.urlencode()}"


def _which(request: HttpRequest, filters: Mapping[str, str] | None) -> list[Any]:
    return [request.path, sorted([key, value] for key, value in (filters or {}).items())]
