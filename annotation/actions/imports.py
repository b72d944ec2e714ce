"""Rows of a file become items: streamed in through COPY in batches, then made visible by one flip.

1. *Load.* Batches of items and payloads, each its own short transaction, under an import that is not visible: such
   items are neither served nor listed. What is wrong with a row is noted; any wrong row rejects the file unless
   `partial`.
2. *Flip.* One transaction: lanes, draws, one queue row per item, and the import is visible.
3. *Finish* (`import_finish.py`). Annotations that came along become submitted seats of imported persons, and known
   items get their new metadata, batch by batch. Annotated items were closed at the flip and open, if they still want
   answers, as their batch is done: so nobody answers them in between.

A killed import is taken up again: before the flip from the start, after it where it stopped. One import runs per
project (the job's lock), and each transaction calls `check`, so that an attempt that lost its job stores nothing more.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import queue
from annotation.actions.events import write_event
from annotation.actions.import_finish import Check, Progress, finish_import
from annotation.actions.jobs import start_job
from annotation.commitments import commit, make_salt
from annotation.errors import StateError, TouchstoneError
from annotation.importing.archive import detect_archive
from annotation.importing.formats import detect_source
from annotation.importing.rows import ItemRow
from annotation.importing.sorting import SHOWN_ERRORS, Numbered, Rows, Sorter, batches, generated_id, parts_of
from annotation.models import Draw, Event, Import, Item, Job, Project, User

KIND = "import"
BATCH_ROWS = 2000
ANALYZED_FROM = 1000  # rows: smaller imports leave it to autovacuum
HOLDOUT_SHARE = 0.2


@dataclass(slots=True)
class Outcome:
    """What became of the rows; `as_result` is the job's result. `fault`: why the file as a whole was refused."""

    imported: int = 0
    unchanged: int = 0
    rejected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""

    def reject(self, line: int, reason: str) -> None:
        """Count a wrong row; the first hundred are kept with their reason."""
        self.rejected += 1
        if len(self.errors) < SHOWN_ERRORS:
            self.errors.append({"line": line, "reason": reason})

    def as_result(self) -> dict[str, Any]:
        """Return `{"imported", "unchanged", "rejected", "errors"}`."""
        result = asdict(self)
        del result["fault"]
        return result


def split_of(seed: bytes, key: str) -> int:
    """The split of an item by its group (or its own external id): the same for the same project seed, 20 % holdout."""
    digest = hashlib.sha256(seed + b"split" + key.encode("utf-8")).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return Item.Split.HOLDOUT if share < HOLDOUT_SHARE else Item.Split.POOL


def start_import(
    *,
    project: Project,
    actor: User | None,
    path: Path,
    name: str,
    content_type: str | None = None,
    encoding: str | None = None,
    partial: bool = False,
    update_metadata: bool = False,
    text_column: str = "text",
) -> Job:
    """Queue the import of an uploaded file, and return the job.

    `path` lies in UPLOAD_DIR; from the commit on the file is the job's, which removes it at its end. `name` is the
    file's own name, `content_type` and `encoding` the headers that it came with: together they tell the format. Raises
    ImportFileError for an unknown format, StateError for an archived project; then the file is still the caller's.
    """
    if path.parent != Path(settings.UPLOAD_DIR):
        raise ValueError("the file does not lie in the folder for uploads")
    if project.state == Project.State.ARCHIVED:
        raise StateError(_("This project is archived: nothing can be brought into it any more."))
    if detect_archive(name) is None:
        detect_source(name, content_type, encoding)
    return start_job(
        kind=KIND,
        project=project,
        created_by=actor,
        args={
            "file": path.name,
            "name": name,
            "content_type": content_type or "",
            "encoding": encoding or "",
            "partial": partial,
            "update_metadata": update_metadata,
            "text_column": text_column,
        },
        lock=f"import:{project.pk}",
    )


def load_items(
    *,
    project: Project,
    read: Callable[[], Rows],
    actor: User | None,
    job_id: int | None = None,
    partial: bool = False,
    update_metadata: bool = False,
    progress: Progress = lambda _done, _total: None,
    check: Check = lambda: None,
    batch_rows: int = BATCH_ROWS,
) -> tuple[Outcome, bool]:
    """Import rows; `read` gives them anew each time it is called. Returns the outcome and whether it was stored.

    Not stored: any wrong row without `partial`, a file that cannot be read to its end, no row at all, or a project that
    was archived meanwhile. Then nothing of the file remains. `progress` gets the rows read so far, and the total of
    both passes once it is known; `check` is called inside every transaction and stops the import by raising. An
    annotation of an item that was there before the file is passed over, as the item is unchanged.
    """
    project = Project.objects.select_related("schema", "guideline").get(pk=project.pk)
    outcome = Outcome()
    import_row = Import.objects.filter(project=project, job_id=job_id, is_visible=True).first() if job_id else None
    if import_row is not None:  # killed after its flip
        n_read = _recall_counts(import_row, outcome)
        finish_import(project, import_row, read, update_metadata, n_read, progress, check, batch_rows, outcome.errors)
        return outcome, True
    discard_unfinished(project=project, check=check)
    import_row = Import.objects.create(project=project, job_id=job_id)
    loader = _Loader(project, import_row, outcome, update_metadata, check)
    done = 0
    try:
        for batch in batches(read(), batch_rows):
            loader.load(batch)
            done += len(batch)
            progress(done, None)
        if done == 0:
            outcome.fault = _("The file holds no rows.")
        elif not outcome.rejected or partial:
            _flip(project, import_row, loader, actor)
            if outcome.imported >= ANALYZED_FROM:
                _analyze()
    except TouchstoneError as error:
        outcome.fault = error.detail
    if outcome.fault or (outcome.rejected and not partial):
        discard_unfinished(project=project, check=check)
        outcome.imported = outcome.unchanged = 0
        return outcome, False
    if loader.annotated or loader.has_new_metadata:
        finish_import(project, import_row, read, update_metadata, done, progress, check, batch_rows)
    return outcome, True


def _recall_counts(import_row: Import, outcome: Outcome) -> int:
    """Fill the counts as they were at the flip, and return the number of rows that were read."""
    event = Event.objects.get(project=import_row.project, kind="items.imported", ref_id=import_row.pk)
    counts: dict[str, int] = event.data or {}
    outcome.imported, outcome.unchanged, outcome.rejected = (
        counts[name] for name in ("imported", "unchanged", "rejected")
    )
    return sum(counts.values())


def discard_unfinished(*, project: Project, check: Check = lambda: None) -> None:
    """Remove what imports that never became visible left. Only a job with the project's import lock calls this."""
    for import_row in Import.objects.filter(project=project, is_visible=False):
        items = Item.objects.filter(imported_by=import_row).values_list("pk", flat=True)
        while ids := list(items[:10_000]):
            with transaction.atomic(), connection.cursor() as cursor:
                check()
                cursor.execute("delete from annotation_itempayload where item_id = any(%s)", [ids])
                cursor.execute("delete from annotation_item where id = any(%s)", [ids])
        with transaction.atomic():
            check()
            import_row.delete()


class _Loader:
    """The first pass over a file. Keeps only counts, the ids of annotated items and the languages seen."""

    def __init__(
        self, project: Project, import_row: Import, outcome: Outcome, update_metadata: bool, check: Check
    ) -> None:
        self.outcome = outcome
        self.annotated = array("q")
        self.has_new_metadata = False
        self._project = project
        self._import = import_row
        self._update_metadata = update_metadata
        self.check = check
        self._sorter = Sorter(project)
        self._seed = bytes(project.seed)

    def load(self, batch: list[Numbered]) -> None:
        """Store the rows of a batch that are new; count the rest."""
        with transaction.atomic():
            self.check()
            refuse_archived(self._project)
            found = self._sorter.sort(batch)
            self._copy(found.fresh)
        for line, reason in found.wrong:
            self.outcome.reject(line, reason)
        self.outcome.imported += len(found.fresh)
        self.outcome.unchanged += len(found.known)
        # Of rows with one id in one batch nothing is in the table yet to compare with: the second pass tells.
        if self._update_metadata and any(item is None or item.metadata != row.metadata for row, item in found.known):
            self.has_new_metadata = True

    def _copy(self, fresh: list[tuple[int, ItemRow]]) -> None:
        items: list[tuple[Any, ...]] = []
        payloads: list[tuple[Any, ...]] = []
        now = timezone.now()
        for line, row in fresh:
            item_id = secrets.randbits(62)
            external_id = row.external_id
            if external_id is None:
                external_id = generated_id(self._seed, self._import.pk, line)
            parts, salt = parts_of(row), make_salt()
            gold = None if row.gold is None else {str(q): asdict(value) for q, value in row.gold.items()}
            items.append(
                (
                    item_id,
                    self._project.pk,
                    self._import.pk,
                    external_id,
                    row.external_id is not None,
                    row.group or "",
                    commit(parts, salt),
                    json.dumps(row.metadata),
                    None if gold is None else json.dumps(gold),
                    split_of(self._seed, f"group:{row.group}" if row.group else f"item:{external_id}"),
                    Item.Lifecycle.OPEN.value,
                    now,
                )
            )
            payloads.append((item_id, json.dumps(parts), salt))
            if row.annotations:
                self.annotated.append(item_id)
        with connection.cursor() as cursor:
            with cursor.copy(
                'copy annotation_item (id, project_id, imported_by_id, external_id, has_own_id, "group", commitment,'
                " metadata, gold, split, lifecycle, created_at) from stdin"
            ) as copy:
                for record in items:
                    copy.write_row(record)
            with cursor.copy("copy annotation_itempayload (item_id, parts, salt) from stdin") as copy:
                for record in payloads:
                    copy.write_row(record)


def refuse_archived(project: Project) -> None:
    """Raise StateError where the project was archived meanwhile: its payloads are being erased."""
    if Project.objects.filter(pk=project.pk, state=Project.State.ARCHIVED).exists():
        raise StateError(_("The project was archived while the file was read: nothing of it was stored."))


def _flip(project: Project, import_row: Import, loader: _Loader, actor: User | None) -> None:
    """Make the import visible: lanes, draws and queue rows, in one transaction.

    The tiebreak is a keyed hash, so that the first labels are a fair sample and not the head of a sorted file.
    """
    outcome = loader.outcome
    with transaction.atomic():
        loader.check()
        # Settings stand still until the commit: a change of overlap comes after these rows, and finds them.
        project = Project.objects.select_for_update(of=("self",)).get(pk=project.pk)
        refuse_archived(project)
        if outcome.imported:
            _queue_items(project, import_row, loader)
        Import.objects.filter(pk=import_row.pk).update(is_visible=True)
        write_event(
            project=project,
            kind="items.imported",
            actor=actor,
            ref_id=import_row.pk,
            data={"imported": outcome.imported, "unchanged": outcome.unchanged, "rejected": outcome.rejected},
        )


def _analyze() -> None:
    """Tell the planner what came: plans that other connections made for small tables are given up at once."""
    with connection.cursor() as cursor:
        cursor.execute("analyze annotation_item, annotation_itempayload, annotation_queuerow, annotation_offer")


def _queue_items(project: Project, import_row: Import, loader: _Loader) -> None:
    draws = {
        split: Draw.objects.create(project=project, stream=stream, strategy="import").pk
        for split, stream in [(Item.Split.POOL, Draw.Stream.ACTIVE), (Item.Split.HOLDOUT, Draw.Stream.HOLDOUT)]
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into annotation_queuelane
                (project_id, kind, stream, language, severity, epoch, floor_rank, floor_tiebreak)
              select distinct i.project_id, 1, i.split, lower(coalesce(i.metadata ->> 'language', '')), 0, 0,
                '-infinity'::float8, 0
              from annotation_item i where i.imported_by_id = %s
              on conflict do nothing
            """,
            [import_row.pk],
        )
        cursor.execute(
            """
            insert into annotation_queuerow (project_id, item_id, lane_id, kind, pass_no, rank, tiebreak, overlap,
                n_submitted, state, is_closed, draw_id)
              select i.project_id, i.id, l.id, 1, 1, 0,
                ('x' || left(encode(sha256(%s || convert_to(i.external_id, 'UTF8')), 'hex'), 16))::bit(64)::bigint
                  & 9223372036854775807,
                %s, 0, 0, i.id = any(%s::bigint[]), case i.split when 1 then %s else %s end
              from annotation_item i join annotation_queuelane l
                on l.project_id = i.project_id and l.kind = 1 and l.stream = i.split and l.severity = 0
                and l.language = lower(coalesce(i.metadata ->> 'language', ''))
              where i.imported_by_id = %s
            """,
            [
                bytes(project.seed) + b"tiebreak",
                project.overlap_min,
                list(loader.annotated),
                draws[Item.Split.HOLDOUT],
                draws[Item.Split.POOL],
                import_row.pk,
            ],
        )
        cursor.execute(
            """
            insert into annotation_offer (queue_row_id, item_id, lane_id, rank, tiebreak, n_free, is_returned)
              select q.id, q.item_id, q.lane_id, q.rank, q.tiebreak, q.overlap, false
              from annotation_item i join annotation_queuerow q on q.item_id = i.id
              where i.imported_by_id = %s and q.kind = 1 and not q.is_closed
            """,
            [import_row.pk],
        )
        cursor.execute("select id from annotation_queuelane where project_id = %s and kind = 1", [project.pk])
        queue.bump_lanes(lane_ids=[lane for (lane,) in cursor.fetchall()])
