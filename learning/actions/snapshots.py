"""A snapshot from the request to the flip: queued, frozen in one statement, published whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from annotation.actions.carrying import refuse_while_carrying
from annotation.actions.events import write_event
from annotation.actions.jobs import start_job
from annotation.actions.locks import lock_project
from annotation.actions.projects import refuse_archived
from annotation.errors import InvalidError, StateError
from annotation.models import Item, Job, Project, User
from annotation.schema import find_question
from learning.models import Snapshot
from learning.snapshots.accepted import ACCEPTED, accepted_parameters
from learning.snapshots.files import move_into_place, published_folder, remove_folder

KIND = "snapshot"
WITHDRAW_KIND = "snapshot.withdraw"
STATES = {"agreed": 1, "adjudicated": 3}
SPLITS = {split.name.lower(): split.value for split in Item.Split}
QUERY_KEYS = ("states", "questions", "split", "min_confidence")


def lock_name(project: Project) -> str:
    """The lock of the jobs that write a project's snapshots: one at a time."""
    return f"snapshot:{project.pk}"


def check_query(query: object, project: Project) -> dict[str, Any]:
    """Return the query as it will be stored. Raises InvalidError with a sentence for each key that does not fit.

    `{}`: every accepted label of the current pass. `states`: some of agreed, adjudicated. `questions`: names. `split`:
    pool or holdout. `min_confidence`: 0 to 1, of votes; a reviewer's decision has no confidence and always passes.
    """
    if query is None:
        return {}
    if not isinstance(query, dict):
        raise InvalidError(fields={"query": _("A query is an object.")})
    faults: dict[str, str] = {
        str(key)[:100]: _("There is no such key. Known: %(known)s.") % {"known": ", ".join(QUERY_KEYS)}
        for key in query
        if key not in QUERY_KEYS
    }
    states = query.get("states", list(STATES))
    if not _is_some_of(states, STATES):
        faults["states"] = _("A list of at least one of: %(known)s.") % {"known": ", ".join(STATES)}
    names = [] if project.schema is None else [question["name"] for question in project.schema.compiled["questions"]]
    if not _is_some_of(query.get("questions", names), names):
        faults["questions"] = _("A list of at least one of: %(known)s.") % {"known": ", ".join(names)}
    split = query.get("split", "pool")
    if not isinstance(split, str) or split not in SPLITS:
        faults["split"] = _("One of: %(known)s.") % {"known": ", ".join(SPLITS)}
    least = query.get("min_confidence", 0)
    if isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least <= 1:
        faults["min_confidence"] = _("A number from 0 to 1.")
    if faults:
        sentences = " ".join(f"{name}: {sentence}" for name, sentence in faults.items())
        raise InvalidError(_("The query is not valid. %(faults)s") % {"faults": sentences}, fields=faults)
    return dict(query)


def _is_some_of(value: object, known: Mapping[str, Any] | list[str]) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) and one in known for one in value)


@transaction.atomic
def start_snapshot(*, project: Project, actor: User | None, query: Mapping[str, Any] | None = None) -> Job:
    """Queue a snapshot of the project's accepted labels; `actor` is None where a schedule asks. Raises InvalidError for
    the query, StateError for an archived project. Whether there is anything to freeze is seen when the job runs."""
    refuse_archived(project)
    checked = check_query(query, project)
    job = start_job(kind=KIND, project=project, created_by=actor, args={"query": checked}, lock=lock_name(project))
    write_event(project=project, kind="snapshot.requested", actor=actor, ref_id=job.pk)
    return job


@transaction.atomic
def freeze_members(*, project: Project, query: Mapping[str, Any], job: Job | None, actor: User | None) -> Snapshot:
    """Give the next version (1.0.0, 1.1.0, ...) and copy the accepted labels into it, in one statement.

    Under the project's snapshot lock, which undo takes shared: an answer is either copied or taken back (Q9). Done
    once a job: a repeated attempt gets what was frozen first. Raises StateError where nothing fits the query, and while
    labels are being carried over to a new label schema: a snapshot holds values of one version.
    """
    lock_project(project, "snapshot")
    before = Snapshot.objects.filter(job=job).first() if job is not None else None
    if before is not None:
        return before
    project = Project.objects.select_related("schema", "guideline").get(pk=project.pk)
    if project.schema is None:
        raise StateError(_("This project has no label schema yet."))
    compiled = project.schema.compiled
    names = query.get("questions") or [question["name"] for question in compiled["questions"]]
    questions = [question["id"] for name in names if (question := find_question(compiled, name)) is not None]
    last = Snapshot.objects.filter(project=project).order_by("-major", "-minor", "-patch").first()
    snapshot = Snapshot.objects.create(
        project=project,
        major=last.major if last else 1,
        minor=last.minor + 1 if last else 0,
        query=dict(query),
        # What the project says now, for the job that writes the files; publishing replaces it.
        manifest={
            "schema": project.schema.pk,
            "schema_version": project.schema.version,
            "guideline_version": project.guideline.version if project.guideline else None,
            "rule": project.rule,
            "questions": sorted(questions),
        },
        job=job,
        created_by=actor,
        created_at=_database_time(),
    )
    states = [STATES[state] for state in query.get("states", STATES)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            with accepted as ({ACCEPTED})
            insert into learning_snapshotmember
              (snapshot_id, item_id, question, state, choice, choices, number, data, confidence, method,
               resolution_version, annotations)
            select %(snapshot)s, a.item_id, a.question, a.state, a.choice, to_jsonb(a.choices), a.number, a.data,
              a.confidence, a.method, a.version,
              coalesce((select jsonb_agg(l.annotation_id order by l.annotation_id)
                        from annotation_seat s
                        cross join lateral (select x.annotation_id, x.question from annotation_label x
                                            where x.annotation_id = s.annotation_id offset 0) l
                        where s.queue_row_id = a.queue_row_id and s.state = 2 and l.question = a.question), '[]')
            from accepted a
            """,  # noqa: S608 - a constant
            {
                "snapshot": snapshot.pk,
                **accepted_parameters(
                    project_id=project.pk,
                    states=states,
                    questions=questions,
                    split=SPLITS[query["split"]] if "split" in query else None,
                    min_confidence=query.get("min_confidence"),
                ),
            },
        )
        cursor.execute(
            "select count(distinct item_id) from learning_snapshotmember where snapshot_id = %s", [snapshot.pk]
        )
        n_items = cursor.fetchone()[0]
    # Asked after the copy: what was published before it is seen here, what is published later had no part in it.
    refuse_while_carrying(project)
    if not n_items:
        raise StateError(_("There is nothing to publish yet: no accepted label fits the query."))
    Snapshot.objects.filter(pk=snapshot.pk).update(n_items=n_items)
    snapshot.n_items = n_items
    write_event(
        project=project,
        kind="snapshot.frozen",
        actor=actor,
        ref_id=snapshot.pk,
        data={"version": snapshot.version, "n_items": n_items},
    )
    return snapshot


def _database_time() -> Any:
    """Now, by the clock that stamps annotations: undo compares the two. Read after the lock was had."""
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        return cursor.fetchone()[0]


@transaction.atomic
def publish_snapshot(
    *, snapshot: Snapshot, folder: Path, manifest: Mapping[str, Any], check: Callable[[], Any]
) -> Snapshot:
    """Rename the built folder and turn the row to published, manifest and root in it: readers see all or nothing.

    `check` is the job's: it raises where another attempt has taken over. Raises StateError unless still building.
    """
    row = Snapshot.objects.select_for_update(of=("self",)).select_related("project").get(pk=snapshot.pk)
    if row.state != Snapshot.State.BUILDING:
        raise StateError(_("This snapshot is not being built any more."))
    check()
    move_into_place(row, folder, manifest)
    Snapshot.objects.filter(pk=row.pk).update(
        state=Snapshot.State.PUBLISHED,
        manifest=manifest,
        root=manifest["merkle_root"],
        n_items=manifest["counts"]["items"],
        published_at=Now(),
    )
    write_event(
        project=row.project,
        kind="snapshot.published",
        actor=row.created_by,
        ref_id=row.pk,
        data={"version": row.version, "root": manifest["merkle_root"]},
    )
    row.refresh_from_db()
    return row


@transaction.atomic
def fail_snapshot(*, snapshot: Snapshot, reason: str) -> None:
    """Give up a snapshot that was being built; its version is not given again. Published ones are left alone."""
    changed = Snapshot.objects.filter(pk=snapshot.pk, state=Snapshot.State.BUILDING).update(state=Snapshot.State.FAILED)
    if changed:
        write_event(
            project=snapshot.project,
            kind="snapshot.failed",
            actor=None,
            ref_id=snapshot.pk,
            data={"version": snapshot.version, "reason": reason[:200]},
        )


@transaction.atomic
def start_withdrawal(*, project: Project) -> Job:
    """Queue the removal of content that was erased or sealed since from the project's published snapshots."""
    return start_job(kind=WITHDRAW_KIND, project=project, created_by=None, args={}, lock=lock_name(project))


def replace_content(*, snapshot: Snapshot, folder: Path, manifest: Mapping[str, Any], check: Callable[[], Any]) -> None:
    """Put a revision without withdrawn content in the place of a published folder: rename, flip, remove the old."""
    with transaction.atomic():
        row = Snapshot.objects.select_for_update(of=("self",)).select_related("project").get(pk=snapshot.pk)
        old = row.manifest or {}
        if row.state != Snapshot.State.PUBLISHED or old["revision"] + 1 != manifest["revision"]:
            raise StateError(_("This snapshot was changed meanwhile."))
        check()
        move_into_place(row, folder, manifest)
        Snapshot.objects.filter(pk=row.pk).update(manifest=manifest)
        write_event(
            project=row.project,
            kind="snapshot.withdrawn",
            actor=None,
            ref_id=row.pk,
            data={"version": row.version, "withdrawn": manifest["counts"]["withdrawn"]},
        )
    remove_folder(published_folder(row, old))
