"""A project, its settings, its label schema, its guideline and its members."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from annotation import queue
from annotation.actions.carrying import refuse_while_carrying, start_carrying
from annotation.actions.events import write_event
from annotation.actions.jobs import start_job
from annotation.errors import BreakingChangeError, ExistsError, InvalidError, StateError
from annotation.models import Guideline, Job, LabelSchema, Member, Organisation, Project, Seat, User
from annotation.schema import MapError, classify_change, compile_schema, validate_map
from annotation.settings import parse_settings

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


@transaction.atomic
def create_project(
    *,
    slug: str,
    name: str,
    schema: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    owner: User | None,
    is_demo: bool = False,
    seed: bytes | None = None,
) -> Project:
    """Make a project with its first label schema; whoever creates it is its owner (None: only superusers own it).

    `seed` decides everything that chance decides about the project; by default it is random.
    Raises ExistsError, InvalidError, SchemaError.
    """
    if not _SLUG.fullmatch(slug or ""):
        raise InvalidError(
            fields={"slug": _("Use 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end.")}
        )
    name = (name or slug).strip()
    if not 1 <= len(name) <= 200:
        raise InvalidError(fields={"name": _("A name has 1 to 200 characters.")})
    compiled = compile_schema(schema, None)
    columns = parse_settings(settings or {}, compiled, Organisation.objects.get())
    if Project.objects.filter(slug=slug).exists():
        raise ExistsError(_("There is already a project of this name. Choose another `slug`."))
    columns.setdefault("rule", {"kind": "majority"})
    project = Project(slug=slug, name=name, seed=seed or secrets.token_bytes(32), is_demo=is_demo, **columns)
    try:
        with transaction.atomic():
            project.save(force_insert=True)
    except IntegrityError as error:
        raise ExistsError(_("There is already a project of this name. Choose another `slug`.")) from error
    project.schema = LabelSchema.objects.create(
        project=project, version=1, compiled=compiled, change=LabelSchema.Change.FIRST, created_by=owner
    )
    project.save(update_fields=["schema"])
    if owner is not None:
        Member.objects.create(project=project, user=owner, role=Member.Role.OWNER)
    write_event(project=project, kind="project.created", actor=owner, ref_id=project.pk)
    return project


@transaction.atomic
def change_project(*, project: Project, settings: Mapping[str, Any], actor: User | None) -> Project:
    """Change the settings named. A new overlap, and a new rule, reach the items by a job each.

    Raises InvalidError, NotYetError.
    """
    project = Project.objects.select_for_update(of=("self",), no_key=True).select_related("schema").get(pk=project.pk)
    assert project.schema is not None
    if project.state == Project.State.ARCHIVED and project.schema is not None and settings.get("state") != "archived":
        raise StateError(_("This project is archived. Its labels and history stay as they are."))
    columns = parse_settings(settings, project.schema.compiled, Organisation.objects.get(), current=project)
    had_overlap, had_rule = project.overlap_min, project.rule
    for column, value in columns.items():
        setattr(project, column, value)
    if project.overlap_max < project.overlap_min:
        raise InvalidError(fields={"overlap": _("`max` must not be smaller than `min`.")})
    if columns:
        project.save(update_fields=list(columns))
    write_event(
        project=project, kind="project.changed", actor=actor, ref_id=project.pk, data={"settings": sorted(settings)}
    )
    if project.overlap_min != had_overlap:
        start_job(kind="overlap", project=project, created_by=actor, args={}, lock=f"overlap:{project.pk}")
    if project.rule != had_rule:
        start_job(kind="rule", project=project, created_by=actor, args={}, lock=settling_lock(project))
    return project


def refuse_archived(project: Project) -> None:
    """Raise StateError where nothing may be started in a project any more."""
    if project.state == Project.State.ARCHIVED:
        raise StateError(_("This project is archived."))


def settling_lock(project: Project) -> str:
    """The lock of the jobs that let the vote rule look at all items anew: one at a time."""
    return f"settling:{project.pk}"


@transaction.atomic
def archive_project(*, project: Project, actor: User) -> Job:
    """Archive the project and erase all payloads, by a job; labels and history stay."""
    Project.objects.filter(pk=project.pk).update(state=Project.State.ARCHIVED)
    write_event(project=project, kind="project.archived", actor=actor, ref_id=project.pk)
    return start_job(kind="erase", project=project, created_by=actor, args={}, lock=f"import:{project.pk}")


@transaction.atomic
def put_schema(
    *,
    project: Project,
    schema: Mapping[str, Any],
    map: Mapping[str, Any] | None,
    actor: User,
    expected_version: int | None = None,
) -> tuple[LabelSchema, Job | None]:
    """Freeze a new schema version; it applies at once to what is leased from now on.

    A breaking one needs `map`; without it BreakingChangeError carries how many labels each question has. A job then
    carries stored labels over to it (`annotation/carrying.py`); it is returned, None where there is nothing to carry.
    Leases already held stay pinned to their version; what is answered to them is carried over too.
    `expected_version` is the version that the caller has seen; StateError where there is a newer one. Raises
    SchemaError, MapError (also for a map that a compatible change has no use for), and StateError while labels are
    still being carried over to the breaking version before.
    """
    project = Project.objects.select_for_update(of=("self",), no_key=True).select_related("schema").get(pk=project.pk)
    assert project.schema is not None
    old = project.schema.compiled
    _refuse_unseen(project.schema.version, expected_version)
    compiled = compile_schema(schema, old)
    change = classify_change(old, compiled)
    if change.kind == "breaking":
        if map is None:
            raise BreakingChangeError(fields={"reasons": change.reasons, "labels": count_labels(project, old)})
        validate_map(old, compiled, dict(map))
        refuse_while_carrying(project)
    elif map:
        raise MapError(_("This change keeps every label as it is. Leave the map out, or give a value another name."))
    row = LabelSchema.objects.create(
        project=project,
        version=project.schema.version + 1,
        compiled=compiled,
        change=change.kind,
        map=map if change.kind == "breaking" else None,
        created_by=actor,
    )
    Project.objects.filter(pk=project.pk).update(schema=row)
    write_event(project=project, kind="schema.published", actor=actor, ref_id=row.pk, data={"version": row.version})
    job = None
    if change.kind == "breaking" and Seat.objects.filter(project=project, state=Seat.State.SUBMITTED).exists():
        job = start_carrying(project=project, actor=actor)
    return row, job


def _refuse_unseen(version: int, expected: int | None) -> None:
    """Raise StateError where the caller has seen another version than the newest one."""
    if expected is not None and expected != version:
        raise StateError(
            _("Version %(version)d was published meanwhile. See below what your draft changes of it.")
            % {"version": version}
        )


def count_labels(project: Project, compiled: Mapping[str, Any]) -> dict[str, int]:
    """How many labels that count each question of a compiled schema has, by its name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select l.question, count(*) from annotation_seat s"
            " join annotation_label l on l.annotation_id = s.annotation_id"
            " where s.project_id = %s and s.state = 2 group by 1",
            [project.pk],
        )
        counts = dict(cursor.fetchall())
    return {question["name"]: counts.get(question["id"], 0) for question in compiled["questions"]}


@transaction.atomic
def put_guideline(
    *,
    project: Project,
    change: str,
    clauses: Sequence[Mapping[str, Any]],
    actor: User | None,
    expected_version: int | None = None,
) -> Guideline:
    """Freeze a new version of the guideline; it is shown with what is leased from now on.

    `expected_version` is the newest version that the caller has seen (0: none). Raises InvalidError, StateError where
    there is a newer one.
    """
    if change not in Guideline.Change.values:
        raise InvalidError(fields={"change": _("One of: major, minor.")})
    checked = check_clauses(clauses)
    project = Project.objects.select_for_update(of=("self",), no_key=True).get(pk=project.pk)
    last = Guideline.objects.filter(project=project).order_by("-version").first()
    _refuse_unseen(last.version if last else 0, expected_version)
    row = Guideline.objects.create(
        project=project,
        version=last.version + 1 if last else 1,
        change=change,
        clauses=checked,
        created_by=actor,
    )
    Project.objects.filter(pk=project.pk).update(guideline=row)
    write_event(project=project, kind="guideline.published", actor=actor, ref_id=row.pk, data={"version": row.version})
    return row


def check_clauses(clauses: object) -> list[dict[str, Any]]:
    """A guideline's clauses, in order, with nothing that is not theirs. Raises InvalidError saying which clause."""
    if not isinstance(clauses, list) or not clauses or len(clauses) > 500:
        raise InvalidError(fields={"clauses": _("Send 1 to 500 clauses.")})
    seen: set[str] = set()
    checked: list[dict[str, Any]] = []
    for number, clause in enumerate(clauses, start=1):
        where = _("Clause %(number)d") % {"number": number}
        if not isinstance(clause, dict) or set(clause) - {"id", "title", "text", "examples"}:
            raise InvalidError(
                fields={"clauses": _("%(where)s: it has `id`, `title`, `text`, `examples`.") % {"where": where}}
            )
        texts = {key: clause.get(key, "") for key in ("id", "title", "text")}
        if any(not isinstance(t, str) or len(t) > 20000 or "\x00" in t for t in texts.values()) or not texts["id"]:
            raise InvalidError(
                fields={"clauses": _("%(where)s: `id`, `title` and `text` are texts.") % {"where": where}}
            )
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", texts["id"]) or texts["id"] in seen:
            raise InvalidError(
                fields={
                    "clauses": _("%(where)s: `id` is letters, digits, `.`, `_`, `-`, and unique.") % {"where": where}
                }
            )
        seen.add(texts["id"])
        examples = clause.get("examples", [])
        if not isinstance(examples, list) or any(
            not isinstance(e, dict)
            or set(e) - {"in_scope", "text", "note"}
            or not isinstance(e.get("in_scope"), bool)
            or not isinstance(e.get("text"), str)
            or not isinstance(e.get("note", ""), str)
            for e in examples
        ):
            raise InvalidError(
                fields={
                    "clauses": _("%(where)s: an example has `in_scope` (true or false), `text`, `note`.")
                    % {"where": where}
                }
            )
        checked.append({**texts, "examples": [{"note": "", **example} for example in examples]})
    return checked


@transaction.atomic
def set_member(
    *,
    project: Project,
    user: User,
    role: str,
    team: str = "",
    languages: Sequence[str] = (),
    actor: User | None,
) -> Member:
    """Add a person, or change what they are. The last owner stays an owner. Raises InvalidError, StateError."""
    if role not in Member.Role.values:
        raise InvalidError(fields={"role": _("One of: %(roles)s.") % {"roles": ", ".join(Member.Role.values)}})
    if user.kind == User.Kind.IMPORTED:
        raise InvalidError(fields={"name": _("People who came with an import cannot be members.")})
    if not isinstance(team, str) or len(team) > 100:
        raise InvalidError(fields={"team": _("A team's name has at most 100 characters.")})
    if any(not isinstance(tag, str) or len(tag) > 35 or not LANGUAGE.fullmatch(tag) for tag in languages):
        raise InvalidError(fields={"languages": _('Language tags such as "en" or "pt-BR".')})
    Project.objects.select_for_update(of=("self",), no_key=True).get(pk=project.pk)
    if role != Member.Role.OWNER:
        _keep_an_owner(project, user)
    member, _created = Member.objects.update_or_create(
        project=project,
        user=user,
        defaults={"role": role, "team": team, "languages": list(languages), "is_active": True},
    )
    write_event(project=project, kind="member.set", actor=actor, ref_id=user.pk, data={"role": role})
    return member


@transaction.atomic
def remove_member(*, project: Project, user: User, actor: User) -> None:
    """Take a person out: what they did stays, what they hold opens again. The last owner stays. Raises StateError."""
    Project.objects.select_for_update(of=("self",), no_key=True).get(pk=project.pk)
    _keep_an_owner(project, user)
    Member.objects.filter(project=project, user=user).update(is_active=False)
    queue.leave(project_id=project.pk, person_id=user.pk)
    write_event(project=project, kind="member.removed", actor=actor, ref_id=user.pk)


def _keep_an_owner(project: Project, user: User) -> None:
    owners = Member.objects.filter(project=project, role=Member.Role.OWNER, is_active=True)
    if owners.filter(user=user).exists() and not owners.exclude(user=user).exists():
        raise StateError(_("A project keeps at least one owner. Make somebody else an owner first."))
