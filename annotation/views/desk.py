"""The desk: where people label. `static/js/desk/` fills the page from the API; here is what it starts with."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.http import urlencode

from annotation.access import KIND_RIGHTS, Access
from annotation.errors import AbsentError
from annotation.models import LabelSchema, Seat
from annotation.progress import OwnWork, own_counts
from annotation.schema import render_schema
from annotation.views.guideline import changes_for, show_guideline
from annotation.views.page import ProjectPage

KINDS = ("label", "relabel")
# What draws a part of each kind: its module, and what that needs; fetched when the first such part is leased.
VIEWERS = {
    "text": ("text",),
    "image": ("image", "parts"),
    "audio": ("audio", "player", "parts"),
    "video": ("video", "player", "parts"),
}
MODULES = sorted(f"js/desk/{path.name}" for path in (settings.BASE_DIR / "static" / "js" / "desk").glob("*.js"))


class DeskView(ProjectPage):
    """One item after the other."""

    right = "label"
    tab = "label"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The empty desk with all that it needs to draw items."""
        access = self.enter(slug)
        kind = request.GET.get("kind", "label")
        if kind not in KINDS:
            raise AbsentError
        access.require(KIND_RIGHTS[kind])
        schemas = schemas_to_draw(access)
        context = {
            "schemas": schemas,
            "desk": self._desk(access, kind) | {"widgets": find_widgets(schemas), "viewers": find_viewers()},
            "modules": MODULES,
            "guideline": show_guideline(access.project.guideline, changes_for(access)),
        }
        return self.show(access, "annotation/label.html", context)

    def _desk(self, access: Access, kind: str) -> dict[str, Any]:
        slug = access.project.slug
        mine = own_counts(access.user, [access.project.pk]).get(access.project.pk, OwnWork())
        leases = reverse("api-leases", kwargs={"slug": slug})
        return {
            "project": slug,
            "person": access.user.username,
            "kind": kind,
            "n_today": mine.n_today,
            "n_total": mine.n_total,
            "leases_url": leases,
            "lease_url": _stem("api-lease"),
            "annotation_url": _stem("api-undo"),
            "sign_in_url": f"{reverse('sign-in')}?{urlencode({'next': self.request.get_full_path()})}",
            "overview_url": reverse("project", kwargs={"slug": slug}),
        }


def _stem(name: str) -> str:
    """The part of an address before its id."""
    return reverse(name, args=["0"]).partition("0")[0]


def schemas_to_draw(access: Access) -> dict[str, dict[str, Any]]:
    """The schema in force and those that this person's leases are pinned to, by version, as their kinds render them."""
    held = Seat.objects.filter(project=access.project, person=access.user, state=Seat.State.HELD)
    rows = LabelSchema.objects.filter(project=access.project)
    rows = rows.filter(Q(pk=access.project.schema_id) | Q(pk__in=held.values("schema_id")))
    return {str(row.version): {"questions": render_schema(row.compiled)} for row in rows}


def find_widgets(schemas: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The modules that draw the questions of these schemas: name of the widget -> address."""
    names = {question["widget"] for schema in schemas.values() for question in schema["questions"]}
    return {name: static(f"js/desk/widgets/{name}.js") for name in sorted(names)}


def find_viewers() -> dict[str, list[str]]:
    """Kind of part -> the addresses of what draws it, its own module first."""
    return {kind: [static(f"js/desk/viewers/{name}.js") for name in names] for kind, names in VIEWERS.items()}
