"""The desk: where people label. `static/js/desk/` fills the page from the API; here is what it starts with.

`desk.care` says how content is shown to this person (`annotation/viewing.py`, `annotation/care.py`):

    {"views": {"ordinary": {KIND: VIEW}, "severe": {KIND: VIEW}},   VIEW has those of these that the KIND knows:
         {"hidden": bool, "blur": 0-5, "grey": bool, "mute": bool, "size": "full"/"medium"/"small", "mask": bool}
     "masked_words": ["..."], in lower case; covered in text where the view's `mask` is true
     "support": text of the project and the organisation, "" for none
     "breaks": {"severe_minutes": 50, "own_minutes": null or n}, after so many active minutes a break is prompted
     "care_url": the person's settings in the API, "care_page_url": the page}

A lease's `item.care` (`{"severity", "harms"}`, absent for most) says which: views of `severe` where the severity is
`severe`, else of `ordinary`. The floor is in them already. What is hidden is not requested before it is revealed.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.http import urlencode

from annotation.access import KIND_RIGHTS, Access
from annotation.care import show_desk_care
from annotation.desk_keys import find_own_keys, page_keys_of, with_own_keys
from annotation.desk_script import FOLDER, build, read_modules
from annotation.errors import AbsentError
from annotation.models import LabelSchema, Seat
from annotation.pace import sitting
from annotation.schema import render_schema
from annotation.views.guideline import changes_for, show_guideline
from annotation.views.page import ProjectPage

KINDS = ("label", "relabel")
# What draws a part of each kind: its module, and what that needs; fetched when the first such part is leased.
VIEWERS = {
    "text": ("text",),
    "image": ("image",),
    "audio": ("audio", "player"),
    "video": ("video", "player"),
}
PLAIN_WIDGETS = {"buttons", "number"}  # what every page's stylesheet and words are enough for
# What the desk's script imports, as files of their own: asked for together with it.
MODULES = [f"js/desk/{name}" for name in build(read_modules(FOLDER)).shared]


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
        context = desk_page(access, schemas_to_draw(access), kind, request.get_full_path())
        return self.show(access, "annotation/label.html", context)


def desk_page(access: Access, schemas: dict[str, dict[str, Any]], kind: str, here: str) -> dict[str, Any]:
    """What `annotation/label.html` shows of these schemas. `here` is where a person comes back to after signing in."""
    widgets = find_widgets(schemas)
    return {
        "schemas": schemas,
        "desk": _desk(access, kind, here) | {"widgets": widgets, "viewers": find_viewers()},
        "has_widget_styles": bool(widgets.keys() - PLAIN_WIDGETS),
        "modules": MODULES,
        "guideline": show_guideline(access.project.guideline, changes_for(access)),
    }


def _desk(access: Access, kind: str, here: str) -> dict[str, Any]:
    slug = access.project.slug
    leases = reverse("api-leases", kwargs={"slug": slug})
    return {
        "project": slug,
        "person": access.user.username,
        "kind": kind,
        "keys": page_keys_of(find_own_keys(access.project, access.user)),
        "progress": sitting(access).as_dict(),
        "leases_url": leases,
        "history_url": reverse("project-history", kwargs={"slug": slug}),
        "guideline_url": reverse("project-guideline", kwargs={"slug": slug}),
        "precedents_url": _stem("project-precedents", slug),
        "lease_url": _stem("api-lease"),
        "annotation_url": _stem("api-undo"),
        "media_url": reverse("api-media", args=[slug, "0"])[:-1],
        "sign_in_url": f"{reverse('sign-in')}?{urlencode({'next': here})}",
        "items_url": f"{reverse('api-items', kwargs={'slug': slug})}/",
        "overview_url": reverse("project", kwargs={"slug": slug}),
        "care": {
            **show_desk_care(access.user, access.project),
            "care_url": reverse("api-own-care"),
            "care_page_url": reverse("own-care"),
        },
    }


def _stem(name: str, *args: str) -> str:
    """The part of an address before its last id."""
    return reverse(name, args=[*args, "0"]).rpartition("0")[0]


def schemas_to_draw(access: Access) -> dict[str, dict[str, Any]]:
    """The schema in force and those that this person's leases are pinned to, by version, with their own keys."""
    held = Seat.objects.filter(project=access.project, person=access.user, state=Seat.State.HELD)
    rows = LabelSchema.objects.filter(project=access.project)
    rows = rows.filter(Q(pk=access.project.schema_id) | Q(pk__in=held.values("schema_id")))
    own = find_own_keys(access.project, access.user)
    return {str(row.version): {"questions": with_own_keys(render_schema(row.compiled), own.keys)} for row in rows}


def find_widgets(schemas: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The modules that draw the questions of these schemas: name of the widget -> address."""
    names = {question["widget"] for schema in schemas.values() for question in schema["questions"]}
    return {name: static(f"js/desk/widgets/{name}.js") for name in sorted(names)}


def find_viewers() -> dict[str, list[str]]:
    """Kind of part -> the addresses of what draws it, its own module first."""
    return {kind: [static(f"js/desk/viewers/{name}.js") for name in names] for kind, names in VIEWERS.items()}
