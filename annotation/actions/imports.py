"""Rows of a file become items: streamed in through COPY in batches, then made visible by one flip.

1. *Load.* Batches of items, payloads and queue rows, each its own short transaction, under an import that is not
   visible: such items are not listed, and their rows are not offered. What is wrong with a row is noted; any wrong row
   rejects the file unless `partial`. The next batch is read and made ready while the one before it is stored.
2. *Flip.* One transaction: lanes, draws, one offer per queue row, and the import is visible.
3. *Finish* (`import_finish.py`). Annotations that came along become submitted seats of imported persons, and known
   items get their new metadata, batch by batch. Annotated items were closed at the flip and open, if they still want
   answers, as their batch is done: so nobody answers them in between.

A killed import is taken up again: before the flip from the start, after it where it stopped. One import runs per
project (the job's lock), and each transaction calls `check`, so that an attempt that lost its job stores nothing more.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import queue
from annotation.actions.events import write_event
from annotation.actions.import_finish import Check, Progress, finish_import
from annotation.actions.jobs import start_job
from annotation.commitments import canonical_json, commit_text, make_salt
from annotation.errors import StateError, TouchstoneError
from annotation.hints import LaneKey, lane_of
from annotation.importing.ahead import read_ahead
from annotation.importing.archive import detect_archive
from annotation.importing.formats import RowProblem, detect_source
from annotation.importing.rows import ItemRow
from annotation.importing.sorting import SHOWN_ERRORS, Numbered, Rows, Sorter, batches, generated_id, parts_of
from annotation.models import Draw, Event, Import, Item, Job, LabelSchema, Project, QueueLane, QueueRow, User

KIND = "import"
BATCH_ROWS = 5000
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
    schema: LabelSchema | None = None,
    job_id: int | None = None,
    partial: bool = False,
    update_metadata: bool = False,
    is_read_ahead: bool = False,
    progress: Progress = lambda _done, _total: None,
    check: Check = lambda: None,
    batch_rows: int = BATCH_ROWS,
) -> tuple[Outcome, bool]:
    """Import rows; `read` gives them anew each time it is called. Returns the outcome and whether it was stored.

    `schema` is the version that `read` reads annotations by, and they are stamped with it, whatever was published
    since: then they are carried over as late answers are. Left out, it is the project's of now.

    Not stored: any wrong row without `partial`, a file that cannot be read to its end, no row at all, or a project that
    was archived meanwhile. Then nothing of the file remains. `progress` gets the rows read so far, and the total of
    both passes once it is known; `check` is called inside every transaction and stops the import by raising. An
    annotation of an item that was there before the file is passed over, as the item is unchanged. `is_read_ahead`:
    rows are read in a thread while others are stored; for a `read` that asks no database.
    """
    project = Project.objects.select_related("schema", "guideline").get(pk=project.pk)
    if schema is not None:
        project.schema = schema
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
        made = loader.make_all(batches(read(), batch_rows))
        with closing(read_ahead(made) if is_read_ahead else made) as coming:
            for batch, records in coming:
                loader.load(batch, records)
                done += len(batch)
                progress(done, None)
        if done == 0:
            outcome.fault = _("The file holds no rows.")
        elif not outcome.rejected or partial:
            if outcome.imported:
                _merge_words()
            loader.flip(actor)
            if outcome.imported >= ANALYZED_FROM:
                _analyze()
    except TouchstoneError as error:
        outcome.fault = error.detail
    if outcome.fault or (outcome.rejected and not partial):
        discard_unfinished(project=project, check=check)
        outcome.imported = outcome.unchanged = 0
        return outcome, False
    if loader.has_annotations or loader.has_new_metadata:
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
        vectors_path(import_row.pk).unlink(missing_ok=True)
        items = Item.objects.filter(imported_by=import_row).values_list("pk", flat=True)
        while ids := list(items[:10_000]):
            with transaction.atomic(), connection.cursor() as cursor:
                check()
                cursor.execute("delete from annotation_queuerow where item_id = any(%s)", [ids])
                cursor.execute("delete from annotation_itempayload where item_id = any(%s)", [ids])
                cursor.execute("delete from annotation_item where id = any(%s)", [ids])
        with transaction.atomic():
            check()
            import_row.delete()


Lane = tuple[int, LaneKey]  # by split


class _Record(NamedTuple):
    """What a row becomes, ready to be copied: the columns of its item and its payload, and what its queue row needs."""

    item: tuple[Any, ...]
    payload: tuple[int, str, bytes]
    lane: Lane
    tiebreak: int
    is_annotated: bool


_COPY_ITEMS = """
    copy annotation_item (id, project_id, imported_by_id, external_id, has_own_id, "group", commitment, metadata, gold,
      split, lifecycle, created_at) from stdin
"""
_COPY_PAYLOADS = "copy annotation_itempayload (item_id, parts, salt) from stdin"
_COPY_ROWS = """
    copy annotation_queuerow (project_id, item_id, lane_id, kind, pass_no, rank, tiebreak, overlap, n_submitted, state,
      is_closed, draw_id) from stdin
"""
_KIND = QueueLane.Kind.LABEL.value
_OPEN = Item.Lifecycle.OPEN.value
_STREAMS = {Item.Split.POOL.value: Draw.Stream.ACTIVE, Item.Split.HOLDOUT.value: Draw.Stream.HOLDOUT}


class _Loader:
    """The first pass over a file, and the flip. Keeps counts and the lanes seen, nothing for each row.

    Lanes and draws get their ids before the first row and are stored with the flip, so that a file that is refused
    leaves none.
    """

    def __init__(
        self, project: Project, import_row: Import, outcome: Outcome, update_metadata: bool, check: Check
    ) -> None:
        self.outcome = outcome
        self.has_annotations = False
        self.has_new_metadata = False
        self._project = project
        self._import = import_row
        self._update_metadata = update_metadata
        self._check = check
        self._sorter = Sorter(project)
        self._seed = bytes(project.seed)
        self._lanes: dict[Lane, int] = {
            (stream, LaneKey(language, severity, harms)): pk
            for pk, stream, language, severity, harms in QueueLane.objects.filter(
                project=project, kind=_KIND, stream__in=_STREAMS
            ).values_list("pk", "stream", "language", "severity", "harms")
        }
        self._new_lanes: dict[Lane, int] = {}
        self._used_lanes: set[int] = set()
        self._draws = {split: _next_id(Draw) for split in _STREAMS}
        self._before_rows = _next_id(QueueRow)  # the import's own rows come after this one, which is never stored

    # --- Load --------------------------------------------------------------------------------------------------------

    def make_all(self, rows: Iterator[list[Numbered]]) -> Generator[tuple[list[Numbered], list[_Record | None]]]:
        """Yield each batch with what its rows become if they are new (None: the row is wrong). Asks no database."""
        for batch in rows:
            now = timezone.now()
            yield batch, [self._make(line, row, now) if isinstance(row, ItemRow) else None for line, row in batch]

    def _make(self, line: int, row: ItemRow, now: datetime) -> _Record:
        item_id, salt = secrets.randbits(62), make_salt()
        external_id = row.external_id
        if external_id is None:
            external_id = generated_id(self._seed, self._import.pk, line)
        parts = canonical_json(parts_of(row))
        split = split_of(self._seed, f"group:{row.group}" if row.group else f"item:{external_id}")
        gold = None if row.gold is None else {str(q): value.columns() for q, value in row.gold.items()}
        item = (
            item_id,
            self._project.pk,
            self._import.pk,
            external_id,
            row.external_id is not None,
            row.group or "",
            commit_text(parts, salt),
            json.dumps(row.metadata) if row.metadata else "{}",
            None if gold is None else json.dumps(gold),
            split,
            _OPEN,
            now,
        )
        lane = (split, lane_of(row.metadata))
        return _Record(item, (item_id, parts, salt), lane, tiebreak_of(self._seed, external_id), bool(row.annotations))

    def load(self, batch: list[Numbered], records: list[_Record | None]) -> None:
        """Store the rows of a batch that are new; count the rest."""
        with transaction.atomic():
            self._check()
            refuse_archived(self._project)
            _gather_words()
            found = self._sorter.sort(batch)
            fresh = [(batch[place][1], record) for place in found.fresh if (record := records[place]) is not None]
            self._copy([record for _row, record in fresh])
            self._spool_vectors(
                [(record.item[3], row) for row, record in fresh]
                + [(row.external_id, row) for row, _item in found.known]
            )
        for line, reason in found.wrong:
            self.outcome.reject(line, reason)
        self.outcome.imported += len(found.fresh)
        self.outcome.unchanged += len(found.known)
        # Of rows with one id in one batch nothing is in the table yet to compare with: the second pass tells.
        if self._update_metadata and any(item is None or item.metadata != row.metadata for row, item in found.known):
            self.has_new_metadata = True

    def _spool_vectors(self, rows: list[tuple[str | None, ItemRow | RowProblem]]) -> None:
        """Keep the embeddings that came along, as lines: learning takes them in once it hears of the import."""
        lines = [
            json.dumps({"external_id": name, "vector": base64.b64encode(row.embedding).decode()})
            for name, row in rows
            if isinstance(row, ItemRow) and row.embedding is not None
        ]
        if lines:
            path = vectors_path(self._import.pk)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="ascii") as file:
                file.write("\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def _copy(self, records: list[_Record]) -> None:
        """Store items, payloads and queue rows. The rows that wait for their annotations are closed until then."""
        project, overlap = self._project.pk, self._project.overlap_min
        with connection.cursor() as cursor:
            with cursor.copy(_COPY_ITEMS) as copy:
                for record in records:
                    copy.write_row(record.item)
            with cursor.copy(_COPY_PAYLOADS) as copy:
                for record in records:
                    copy.write_row(record.payload)
            lanes = {record.lane for record in records}
            for lane in lanes - self._lanes.keys():
                self._lanes[lane] = self._new_lanes[lane] = _next_id(QueueLane)
            self._used_lanes |= {self._lanes[lane] for lane in lanes}
            with cursor.copy(_COPY_ROWS) as copy:
                for item, _payload, lane, tiebreak, is_annotated in records:
                    where = (project, item[0], self._lanes[lane], _KIND, 1, 0.0, tiebreak)
                    copy.write_row((*where, overlap, 0, 0, is_annotated, self._draws[lane[0]]))
                    self.has_annotations = self.has_annotations or is_annotated

    # --- Flip --------------------------------------------------------------------------------------------------------

    def flip(self, actor: User | None) -> None:
        """Make the import visible and offer its rows, in one transaction."""
        outcome = self.outcome
        with transaction.atomic():
            self._check()
            # Settings stand still until the commit: a change of overlap comes after these rows, and finds them.
            project = Project.objects.select_for_update(of=("self",), no_key=True).get(pk=self._project.pk)
            refuse_archived(project)
            if outcome.imported:
                self._offer_rows(project)
            Import.objects.filter(pk=self._import.pk).update(is_visible=True)
            write_event(
                project=project,
                kind="items.imported",
                actor=actor,
                ref_id=self._import.pk,
                data={"imported": outcome.imported, "unchanged": outcome.unchanged, "rejected": outcome.rejected},
            )

    def _offer_rows(self, project: Project) -> None:
        Draw.objects.bulk_create(
            Draw(pk=self._draws[split], project=project, stream=stream, strategy="import")
            for split, stream in _STREAMS.items()
        )
        QueueLane.objects.bulk_create(
            QueueLane(pk=pk, project=project, kind=_KIND, stream=stream, **key._asdict())
            for (stream, key), pk in self._new_lanes.items()
        )
        own: list[Any] = [self._before_rows, list(self._draws.values())]
        with connection.cursor() as cursor:
            if project.overlap_min != self._project.overlap_min:  # changed while the file was read
                cursor.execute(
                    "update annotation_queuerow set overlap = %s where id > %s and draw_id = any(%s)",
                    [project.overlap_min, *own],
                )
            cursor.execute(
                """
                insert into annotation_offer (queue_row_id, item_id, lane_id, rank, tiebreak, n_free)
                  select q.id, q.item_id, q.lane_id, q.rank, q.tiebreak, q.overlap
                  from annotation_queuerow q where q.id > %s and q.draw_id = any(%s) and not q.is_closed order by q.id
                """,
                own,
            )
        queue.bump_lanes(lane_ids=sorted(self._used_lanes))


def vectors_path(import_id: int) -> Path:
    """Where the embeddings that came with an import's rows wait, as lines in the shape of `POST embeddings`."""
    return Path(settings.UPLOAD_DIR) / f"embeddings-{import_id}.jsonl"


def _gather_words() -> None:
    """Until this transaction ends, let new words wait for the words index in longer lists: fewer and larger merges."""
    with connection.cursor() as cursor:
        cursor.execute("set local gin_pending_list_limit = '16MB'; set local work_mem = '64MB'")


def _merge_words() -> None:
    """Merge the words that wait into the index: a search reads all that wait."""
    with connection.cursor() as cursor:
        cursor.execute("select gin_clean_pending_list('item_words')")


def _next_id(model: type[Draw | QueueLane | QueueRow]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("select nextval(pg_get_serial_sequence(%s, 'id'))", [model._meta.db_table])
        return int(cursor.fetchone()[0])


def tiebreak_of(seed: bytes, external_id: str) -> int:
    """The place of an item among those of its priority, 0 to 2**63 - 1.

    A keyed hash, so that the first labels are a fair sample and not the head of a sorted file.
    """
    digest = hashlib.sha256(seed + b"tiebreak" + external_id.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") & (2**63 - 1)


def refuse_archived(project: Project) -> None:
    """Raise StateError where the project was archived meanwhile: its payloads are being erased."""
    if Project.objects.filter(pk=project.pk, state=Project.State.ARCHIVED).exists():
        raise StateError(_("The project was archived while the file was read: nothing of it was stored."))


def _analyze() -> None:
    """Tell the planner what came: plans that other connections made for small tables are given up at once."""
    with connection.cursor() as cursor:
        cursor.execute("analyze annotation_item, annotation_itempayload, annotation_queuerow, annotation_offer")
