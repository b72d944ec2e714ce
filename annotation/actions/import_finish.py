"""The second pass over an imported file, after its flip: annotations that came along, and new metadata of known items.

Every batch is a transaction of its own and can be done twice: what a run before did is found done. Of rows with one
external id the first one whose parts are the item's brings the annotations, as it brought the item; the last one brings
the metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils.translation import gettext as _

from annotation import queue
from annotation.actions.events import write_event
from annotation.actions.lanes import move_to_lanes
from annotation.actions.people import ensure_outside_person
from annotation.commitments import commit, commit_answer, make_salt
from annotation.errors import StateError
from annotation.hints import lane_of
from annotation.importing.rows import AnnotationRow, ItemRow
from annotation.importing.sorting import (
    SHOWN_ERRORS,
    Numbered,
    Rows,
    Sorter,
    batches,
    find_items,
    generated_id,
    parts_of,
)
from annotation.models import Annotation, Import, Item, LabelSchema, Project, QueueRow, Seat, User

ANNOTATIONS_AT_ONCE = 5000
ROWS_AT_ONCE = 1000  # a row with annotations takes about a millisecond for each of them

Progress = Callable[[int, int | None], None]  # rows done, of how many
Check = Callable[[], None]


class Given(NamedTuple):
    """An annotation that came along: on which place, by whom (a user's id), and what. `salt` is for its texts."""

    place: QueueRow
    person: int
    annotation: AnnotationRow
    salt: bytes

    @property
    def texts(self) -> dict[str, str]:
        """The text answers, by question id."""
        return {str(q): value.text for q, value in self.annotation.values.items() if value.text is not None}


def finish_import(
    project: Project,
    import_row: Import,
    read: Callable[[], Rows],
    update_metadata: bool,
    n_read: int,
    progress: Progress,
    check: Check,
    batch_rows: int,
    errors: list[dict[str, Any]] | None = None,
) -> None:
    """Read the file again and store what waited for the flip. `n_read` rows were read before.

    `errors` is given where an earlier run was killed after its flip: it is filled again with what was wrong.
    """
    sorter = Sorter(project)
    people: dict[str, User] = {}
    done = n_read
    for batch in batches(read(), min(batch_rows, ROWS_AT_ONCE)):
        if update_metadata or errors is not None:
            with transaction.atomic():
                check()
                found = sorter.sort(batch)
                if update_metadata:
                    _update_metadata({item.pk: (item, row.metadata) for row, item in found.known if item is not None})
            if errors is not None:
                errors += [{"line": line, "reason": reason} for line, reason in found.wrong]
                del errors[SHOWN_ERRORS:]
        for chunk in _annotated_rows(bytes(project.seed), import_row, batch):
            _annotate(project, import_row, chunk, people, check)
        done += len(batch)
        progress(done, 2 * n_read)
    _open_rest(import_row, check)


# --- Annotations -----------------------------------------------------------------------------------------------------


def _annotated_rows(seed: bytes, import_row: Import, batch: list[Numbered]) -> Iterator[dict[str, list[ItemRow]]]:
    """The rows with annotations by external id, in chunks: a row may bring a thousand."""
    chunk: dict[str, list[ItemRow]] = {}
    size = 0
    for line, row in batch:
        if not isinstance(row, ItemRow) or not row.annotations:
            continue
        name = row.external_id if row.external_id is not None else generated_id(seed, import_row.pk, line)
        chunk.setdefault(name, []).append(row)
        size += len(row.annotations)
        if size >= ANNOTATIONS_AT_ONCE:
            yield chunk
            chunk, size = {}, 0
    if chunk:
        yield chunk


def _annotate(
    project: Project, import_row: Import, rows: dict[str, list[ItemRow]], people: dict[str, User], check: Check
) -> None:
    schema = project.schema
    if schema is None:
        raise StateError(_("The project has no label schema yet."))
    for name in {one.annotator for same in rows.values() for row in same for one in row.annotations} - people.keys():
        people[name] = ensure_outside_person(project=project, name=name, kind=User.Kind.IMPORTED)
    with transaction.atomic():
        check()
        # Closed, empty and neither disputed nor erased: no run before this one has been here.
        places = list(
            QueueRow.objects.select_for_update(of=("self",))
            .filter(item__in=find_items(project.pk, list(rows)))
            .filter(item__imported_by=import_row, item__lifecycle=Item.Lifecycle.OPEN)
            .filter(kind=1, state=QueueRow.State.OPEN, is_closed=True, n_submitted=0)
            .select_related("item__payload")
            .order_by("pk")
        )
        with connection.cursor() as cursor:
            cursor.execute("select clock_timestamp()")
            now: datetime = cursor.fetchone()[0]
        given: list[Given] = []
        for place in places:
            parts = place.item.payload.parts
            row = next((row for row in rows[place.item.external_id] if parts_of(row) == parts), None)
            brought = row.annotations if row else ()
            given += [Given(place, people[one.annotator].pk, one, make_salt()) for one in brought]
        if not given:
            return
        first, last = _copy_annotations(project, schema, import_row, given, now)
        taken = list({one.place.pk: one.place for one in given}.values())
        _fill_places([place.pk for place in taken])
        queue.settle(row_ids=[place.pk for place in taken])
        # Open again, and perhaps before somebody's cursor.
        queue.bump_lanes(lane_ids=sorted({place.lane_id for place in taken}))
        write_event(
            project=project,
            kind="annotations.imported",
            actor=None,
            ref_id=import_row.pk,
            data={"n": len(given), "schema": schema.pk, "first": first, "last": last},
        )


def _copy_annotations(
    project: Project, schema: LabelSchema, import_row: Import, given: list[Given], now: datetime
) -> tuple[int, int]:
    """Store seats, annotations and labels. Ids come first: a seat points to its annotation, and that to its seat.

    Returns the annotations' first and last id; others may have taken some in between.
    """
    guideline = project.guideline_id
    with connection.cursor() as cursor:
        cursor.execute(
            "select nextval(pg_get_serial_sequence('annotation_seat', 'id')),"
            " nextval(pg_get_serial_sequence('annotation_annotation', 'id')) from generate_series(1, %s)",
            [len(given)],
        )
        numbered = list(zip(cursor.fetchall(), given, strict=True))
        with cursor.copy(
            "copy annotation_seat (id, annotation_id, queue_row_id, person_id, project_id, item_id, lane_id, kind,"
            " draw_id, state, generation, leased_at, expires_at, ended_at, reason, schema_id,"
            " guideline_id, arm) from stdin"
        ) as copy:
            for (seat, annotation), (place, person, _one, _salt) in numbered:
                where = (place.pk, person, project.pk, place.item_id, place.lane_id, place.kind)
                how = (place.draw_id, Seat.State.SUBMITTED.value, 1, now, now, now, "")
                copy.write_row((seat, annotation, *where, *how, schema.pk, guideline, Seat.Arm.NONE.value))
        with cursor.copy(
            "copy annotation_annotation (id, seat_id, project_id, item_id, person_id, schema_id, guideline_id, source,"
            " created_at, is_unsure, flag, clauses, text_commitment, key, body_digest, lease_generation) from stdin"
        ) as copy:
            for (seat, annotation), one in numbered:
                item_id = one.place.item_id
                about = (project.pk, item_id, one.person, schema.pk, guideline, Annotation.Source.IMPORTED.value)
                text = commit({"comment": "", "answers": one.texts}, one.salt) if one.texts else None
                key = f"import-{import_row.pk}-{item_id}"
                copy.write_row((annotation, seat, *about, now, False, "", [], text, key, b"", 1))
        with cursor.copy(
            "copy annotation_label (annotation_id, question, project_id, item_id, person_id, choice, choices, number,"
            " data, text_commitment) from stdin"
        ) as copy:
            for (_seat, annotation), one in numbered:
                about_label = (project.pk, one.place.item_id, one.person)
                for question, value in one.annotation.values.items():
                    data = None if value.data is None else json.dumps(value.data)
                    text = None if value.text is None else commit_answer(question, value.text, one.salt)
                    typed = (value.choice, value.choices, value.number, data, text)
                    copy.write_row((annotation, question, *about_label, *typed))
        with cursor.copy("copy annotation_annotationtext (annotation_id, comment, answers, salt) from stdin") as copy:
            for (_seat, annotation), one in numbered:
                if one.texts:
                    copy.write_row((annotation, "", json.dumps(one.texts), one.salt))
    return numbered[0][0][1], numbered[-1][0][1]


def _fill_places(row_ids: list[int]) -> None:
    """Count the seats and open the rows. The overlap is the project's of now: it may have changed since the flip."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update annotation_queuerow q
            set n_submitted = c.n, overlap = greatest(p.overlap_min, c.n), is_closed = false
            from (select queue_row_id, count(*) as n from annotation_seat
                  where queue_row_id = any(%s) and state = 2 group by 1) c, annotation_project p
            where q.id = c.queue_row_id and p.id = q.project_id
            """,
            [row_ids],
        )
    queue.put_offers(row_ids=row_ids)


def _open_rest(import_row: Import, check: Check) -> None:
    """Open rows that wait for annotations which can no longer be read: a new schema may have come in between."""
    with transaction.atomic(), connection.cursor() as cursor:
        check()
        cursor.execute(
            """
            update annotation_queuerow q set is_closed = false
            from annotation_item i where i.id = q.item_id and i.imported_by_id = %s and i.lifecycle = 0
              and q.kind = 1 and q.state = 0 and q.is_closed and q.n_submitted = 0
            returning q.id, q.lane_id
            """,
            [import_row.pk],
        )
        if opened := cursor.fetchall():
            queue.put_offers(row_ids=[row for row, _lane in opened])
            queue.bump_lanes(lane_ids=sorted({lane for _row, lane in opened}))


# --- Metadata --------------------------------------------------------------------------------------------------------


def _update_metadata(wanted: dict[int, tuple[Item, dict[str, Any]]]) -> None:
    """Give items new metadata; where language, severity or harms are others, their work moves to the lane of those."""
    changed = {pk: metadata for pk, (item, metadata) in wanted.items() if item.metadata != metadata}
    if not changed:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_item i set metadata = u.metadata::jsonb from unnest(%s::bigint[], %s::text[])"
            " as u(id, metadata) where i.id = u.id and i.lifecycle <> 3",
            [list(changed), [json.dumps(metadata) for metadata in changed.values()]],
        )
    lanes = {pk: lane_of(metadata) for pk, metadata in changed.items()}
    moved = {pk: lane for pk, lane in lanes.items() if lane != lane_of(wanted[pk][0].metadata)}
    if moved:
        move_to_lanes(moved)
