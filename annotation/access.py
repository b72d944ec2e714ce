"""The one door: every object is fetched for a caller, and what they may not see is absent.

A right is a verb that a route needs. `RIGHTS` is the whole policy on one screen; `tests/permissions.csv` holds every
route to it. An owner may do everything in the project and a superuser everything everywhere. To outsiders a project
that they are not in and one that does not exist look alike (404); an insider without the right gets 403.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.http import HttpRequest

from annotation.errors import AbsentError, ForbiddenError, NotAuthenticatedError
from annotation.models import Annotation, Item, Job, Member, Project, Seat, User
from annotation.queue import KINDS, Stamp, find_stamp
from annotation.recent import remember

ANNOTATOR, REVIEWER, ENGINEER, OWNER = (
    Member.Role.ANNOTATOR,
    Member.Role.REVIEWER,
    Member.Role.ENGINEER,
    Member.Role.OWNER,
)
EVERYBODY = frozenset({ANNOTATOR, REVIEWER, ENGINEER})

# right -> roles beside the owner's
RIGHTS: dict[str, frozenset[str]] = {
    "see": EVERYBODY,  # the project, its guideline, its schema, one's own work
    "label": frozenset({ANNOTATOR, REVIEWER}),
    "review": frozenset({REVIEWER}),  # disputes, adjudication, who said what
    "items": frozenset({REVIEWER, ENGINEER}),
    "agreement": frozenset({REVIEWER, ENGINEER}),
    "resolutions": frozenset({REVIEWER, ENGINEER}),
    "import": frozenset({ENGINEER}),  # items and media
    "learn": frozenset({ENGINEER}),  # predictions, rounds, models
    "snapshot": frozenset({ENGINEER}),
    "quarantine": frozenset({REVIEWER}),
    "manage": frozenset(),  # settings, schema, guideline, members, erasure
    "metrics": frozenset(),  # no project's: what a superuser's token for `/metrics` is narrowed to
}

KIND_RIGHTS = {"label": "label", "relabel": "label", "adjudicate": "review", "review": "review"}
JOB_RIGHTS = {"agreement.strata": "agreement", "label_errors": "resolutions"}
_KIND_RIGHTS = {KINDS[kind]: right for kind, right in KIND_RIGHTS.items()}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a signed-in user, their token's scopes (None: all), and the roles they look through, by project id."""

    user: User
    scopes: frozenset[str] | None = None
    seen_as: tuple[tuple[int, str], ...] = ()

    def role_seen(self, project: Project) -> str | None:
        """The role that an owner looks through in a demo project; None where they look through their own eyes."""
        return dict(self.seen_as).get(project.pk) if project.is_demo else None


@dataclass(frozen=True, slots=True)
class Access:
    """A caller in a project. `role` is the role they act in; `own_role` the one they have (`owner` for a superuser)."""

    caller: Caller
    project: Project
    member: Member | None
    own_role: str
    role: str

    @property
    def user(self) -> User:
        return self.caller.user

    @property
    def languages(self) -> list[str]:
        """The languages that this person takes; empty: any."""
        return list(self.member.languages) if self.member else []

    def may(self, right: str) -> bool:
        """Whether the role has the right and the token's scopes, if it has any, name it."""
        allowed = self.role == OWNER or self.role in RIGHTS[right]
        return allowed and (self.caller.scopes is None or right in self.caller.scopes)

    def require(self, right: str) -> None:
        """Raise ForbiddenError unless `may(right)`."""
        if not self.may(right):
            raise ForbiddenError


def caller_of(request: HttpRequest | Any) -> Caller:
    """The caller of a Django or DRF request. Raises NotAuthenticatedError for nobody or a disabled user."""
    user: User | AnonymousUser = request.user
    if not isinstance(user, User) or not user.is_active:
        raise NotAuthenticatedError
    token = getattr(request, "auth", None)
    scopes: Collection[str] | None = getattr(token, "scopes", None)
    seen: dict[str, str] = {}
    if token is None:
        seen = getattr(request, "session", {}).get("seen_as", {})
    return Caller(
        user=user,
        scopes=None if scopes is None else frozenset(scopes),
        seen_as=tuple((int(k), v) for k, v in seen.items()),
    )


def access_to(caller: Caller, project: Project) -> Access | None:
    """The caller's access to a project, or None for an outsider."""
    return _look_through(caller, project, _find_member(caller.user, project))


def _find_member(user: User, project: Project) -> Member | None:
    return Member.objects.filter(project=project, user=user, is_active=True).first()


def _look_through(caller: Caller, project: Project, member: Member | None) -> Access | None:
    own = OWNER if caller.user.is_superuser else (member.role if member else None)
    if own is None:
        return None
    role = own
    if own == OWNER and (seen := caller.role_seen(project)) is not None:
        role = seen
    return Access(caller=caller, project=project, member=member, own_role=own, role=role)


def projects_for(caller: Caller) -> QuerySet[Project]:
    """The projects that the caller sees, newest first."""
    projects = Project.objects.order_by("-id")
    if caller.user.is_superuser:
        return projects
    return projects.filter(members__user=caller.user, members__is_active=True)


def project_for(caller: Caller, slug: str, right: str = "see") -> Access:
    """The caller's access to the project, with the right. Raises AbsentError, ForbiddenError."""
    access = _found(caller, _find_standing(caller.user, slug=slug))
    access.require(right)
    return access


def recent_project_for(caller: Caller, which: str | int, right: str) -> Access:
    """`project_for`, by slug or id, as of a second ago at most: for the requests that come once per label."""
    by = {"slug": which} if isinstance(which, str) else {"pk": which}
    access = _found(caller, remember((caller.user.pk, which), lambda: _find_standing(caller.user, **by)))
    access.require(right)
    return access


def _project_by_id(caller: Caller, project_id: int | None) -> Access:
    return _found(caller, _find_standing(caller.user, pk=project_id or 0))


Standing = tuple[Project, Member | None]


def _find_standing(user: User, **which: str | int) -> Standing | None:
    project = Project.objects.filter(**which).select_related("schema", "guideline").first()
    return None if project is None else (project, _find_member(user, project))


def _found(caller: Caller, standing: Standing | None) -> Access:
    access = None if standing is None else _look_through(caller, *standing)
    if access is None:
        raise AbsentError
    return access


def item_for(caller: Caller, slug: str, item_id: str, right: str = "items") -> tuple[Access, Item]:
    """An item of the project, visible (its import has finished). Raises AbsentError, ForbiddenError."""
    access = project_for(caller, slug, right)
    item = (
        Item.objects.filter(pk=parse_id(item_id), project=access.project, imported_by__is_visible=True)
        .select_related("payload")
        .first()
    )
    if item is None:
        raise AbsentError
    return access, item


def sealable_item_for(caller: Caller, slug: str, item_id: str) -> tuple[Access, Item]:
    """An item that the caller may seal: with the right to, or because they have it before them or have answered it.

    Raises AbsentError, ForbiddenError. To others in the project an item that exists and one that does not look alike.
    """
    access = _found(caller, _find_standing(caller.user, slug=slug))
    if not access.may("quarantine"):
        seen = (Seat.State.HELD, Seat.State.SUBMITTED)
        theirs = Seat.objects.filter(
            item_id=parse_id(item_id), project=access.project, person=caller.user, state__in=seen
        )
        if not access.may("label") or not theirs.exists():
            raise ForbiddenError
    item = (
        Item.objects.filter(pk=parse_id(item_id), project=access.project, imported_by__is_visible=True)
        .select_related("payload", "project")
        .first()
    )
    if item is None:
        raise AbsentError
    return access, item


def lease_for(caller: Caller, lease_id: str) -> tuple[Access, Stamp, int]:
    """What the caller's own lease stands for, and the generation that its id names. Somebody else's lease is absent.

    Their role is as of a second ago at most.
    """
    seat_id, _, text = lease_id.partition("-")
    generation = parse_id(text)
    if generation >= 2**31:  # more than a seat can count
        raise AbsentError
    stamp = find_stamp(seat_id=parse_id(seat_id), generation=generation, person_id=caller.user.pk)
    return recent_project_for(caller, stamp.project_id, _KIND_RIGHTS[stamp.kind]), stamp, generation


def annotation_for(caller: Caller, annotation_id: str) -> tuple[Access, Annotation]:
    """The caller's own annotation. Somebody else's is absent."""
    annotation = Annotation.objects.filter(pk=parse_id(annotation_id), person=caller.user).first()
    if annotation is None:
        raise AbsentError
    access = _project_by_id(caller, annotation.project_id)
    access.require("label")
    return access, annotation


def job_for(caller: Caller, job_id: str) -> Job:
    """A job that the caller started, or one of a project of which they may see what it makes.

    Of most that is importing, learning or snapshots; JOB_RIGHTS names the right that opens jobs of a kind besides.
    """
    job = Job.objects.filter(pk=parse_id(job_id)).first()
    if job is None:
        raise AbsentError
    if job.created_by_id == caller.user.pk:
        return job
    access = _project_by_id(caller, job.project_id)
    if not any(access.may(right) for right in ("import", "learn", "snapshot", JOB_RIGHTS.get(job.kind, "import"))):
        raise AbsentError
    return job


def require_superuser(caller: Caller) -> None:
    """Raise ForbiddenError unless the caller is the organisation's administrator (and not through a narrow token)."""
    if not caller.user.is_superuser or caller.scopes is not None:
        raise ForbiddenError("Only an administrator of this installation may do this.")


def parse_id(text: str) -> int:
    """An opaque id as sent, as the integer that it is. Raises AbsentError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or int(text) >= 2**63:
        raise AbsentError
    return int(text)
