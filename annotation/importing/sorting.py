"""Which rows of a file are new, which are there already and which are wrong, told by the batch against the database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.db import connection
from django.utils.translation import gettext as _

from annotation.hints import LaneKey, lane_of
from annotation.importing.formats import RowProblem
from annotation.importing.rows import ItemRow
from annotation.models import Item, Media, Project

BATCH_CHARACTERS = 4_000_000  # a row has up to a million characters, so that a number of rows alone is no bound
SHOWN_ERRORS = 100
SEALED = "sealed"  # in place of a file's type
MAX_LANES = 200  # languages with their severities and harms: a claim looks at each

Numbered = tuple[int, ItemRow | RowProblem]
Rows = Iterable[Numbered]


def generated_id(seed: bytes, import_id: int, line: int) -> str:
    """The external id of a row that brought none. It cannot be guessed, so no file names it before it is there."""
    return f"item-{hashlib.sha256(seed + f'id:{import_id}:{line}'.encode()).hexdigest()[:20]}"


def batches(rows: Rows, most: int) -> Iterator[list[Numbered]]:
    """Yield rows in lists of at most `most`, and of about 4 million characters."""
    batch: list[Numbered] = []
    size = 0
    for numbered in rows:
        batch.append(numbered)
        size += _weigh(numbered[1])
        if len(batch) >= most or size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _weigh(row: ItemRow | RowProblem) -> int:
    """About how many characters of memory a row takes."""
    if isinstance(row, RowProblem):
        return len(row.reason)
    size = 200 * len(row.annotations) + len(row.embedding or b"")
    for part in row.parts:
        size += len(part.text or "")
    for value in row.metadata.values():
        if isinstance(value, str):
            size += len(value)
        else:
            size += len(repr(value)) if isinstance(value, (dict, list)) else 8
    return size


def parts_of(row: ItemRow) -> list[dict[str, str]]:
    """The parts as they are stored."""
    return [part.as_json() for part in row.parts]


# A probe of the unique index for each name, whatever the planner believes of the project: of one that has only just got
# its first items it knows nothing, takes them for none, and would as soon walk through all of them for each name. A
# project that comes out of a table, rather than as a number, it takes for an average one.
FIND_ITEMS = """
    select i.id from annotation_project p cross join unnest(%s::text[]) as n(name) cross join lateral (
      select id from annotation_item where project_id = p.id and external_id = n.name limit 1) i
    where p.id = %s
"""


def find_items(project_id: int, names: list[str]) -> list[int]:
    """The ids of the project's items that have one of these external ids, visible or not, in no particular order."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_ITEMS, [names, project_id])
        return [pk for (pk,) in cursor.fetchall()]


@dataclass(slots=True)
class Sorted:
    """A batch, told apart. `fresh`: places in the batch of the rows that become items; `known`: the row, and the item
    that it is (None: a row before it in the same batch); `wrong`: the line and why."""

    fresh: list[int] = field(default_factory=list)
    known: list[tuple[ItemRow, Item | None]] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)


class Sorter:
    """Tells rows that become items from rows that are there and rows that are wrong, batch after batch of one file."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lanes: set[LaneKey] = set()

    def sort(self, batch: list[Numbered]) -> Sorted:
        """Tell the rows of the next batch apart."""
        media = self._known_media(batch)
        existing = self._existing(batch)
        in_batch: dict[str, ItemRow] = {}
        found = Sorted()
        for place, (line, row) in enumerate(batch):
            if isinstance(row, RowProblem):
                found.wrong.append((line, row.reason))
                continue
            name = row.external_id
            reason = self._find_fault(row, media)
            if reason is None and name is not None and (name in existing or name in in_batch):
                item = existing.get(name)
                reason = _find_difference(row, item, in_batch.get(name))
                if reason is None:
                    found.known.append((row, item))
                    continue
            if reason is not None:
                found.wrong.append((line, reason))
                continue
            if name is not None:
                in_batch[name] = row
            found.fresh.append(place)
        return found

    def _existing(self, batch: list[Numbered]) -> dict[str, Item]:
        """The items that rows of the batch name. Which are there is asked first, and cheaply: mostly none is."""
        wanted = [row.external_id for _line, row in batch if isinstance(row, ItemRow) and row.external_id is not None]
        if not (ids := find_items(self._project.pk, wanted)):
            return {}
        return {item.external_id: item for item in Item.objects.filter(pk__in=ids).select_related("payload")}

    def _known_media(self, batch: list[Numbered]) -> dict[str, str]:
        wanted = {sha for _line, row in batch if isinstance(row, ItemRow) for _kind, sha in row.media()}
        if not wanted:
            return {}
        rows = Media.objects.filter(project=self._project, sha256__in=wanted)
        return {
            sha: SEALED if is_sealed else mime
            for sha, mime, is_sealed in rows.values_list("sha256", "mime", "is_sealed")
        }

    def _find_fault(self, row: ItemRow, media: dict[str, str]) -> str | None:
        for kind, sha in row.media():
            mime = media.get(sha)
            if mime is None:
                where = "PUT projects/SLUG/media/SHA256"
                return _("The file %(sha)s is not here. Upload it first: %(where)s.") % {"sha": sha, "where": where}
            if mime == SEALED:
                return _("The file %(sha)s is sealed: it is in quarantine.") % {"sha": sha}
            if not mime.startswith(f"{kind}/"):
                return _("The file %(sha)s is %(mime)s, not %(kind)s.") % {"sha": sha, "mime": mime, "kind": kind}
        lane = lane_of(row.metadata)
        if lane not in self._lanes:
            if len(self._lanes) >= MAX_LANES:
                return _("The file has more than %(most)d languages, counted with their severities and harms.") % {
                    "most": MAX_LANES
                }
            self._lanes.add(lane)
        return None


def _find_difference(row: ItemRow, item: Item | None, in_batch: ItemRow | None) -> str | None:
    """None where the row is the item that is there (or the row before it in this batch); else why it is not."""
    if item is None:
        is_same = in_batch is not None and row.parts == in_batch.parts
    elif not item.has_own_id:
        return _("This external_id was given by Touchstone to another item. Choose another one.")
    elif item.lifecycle == Item.Lifecycle.ERASED or not hasattr(item, "payload"):
        return _("An item of this external_id was erased. Choose another one.")
    else:
        is_same = item.payload.parts == parts_of(row)
    if not is_same:
        return _("This external_id is taken by an item with other parts. Parts never change; choose another id.")
    return None
