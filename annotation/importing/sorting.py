"""Which rows of a file are new, which are there already and which are wrong, told by the batch against the database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from annotation.importing.formats import RowProblem
from annotation.importing.rows import ItemRow
from annotation.models import Item, Media, Project

BATCH_CHARACTERS = 8_000_000  # a row has up to a million characters, so that a number of rows alone is no bound
SHOWN_ERRORS = 100
MAX_LANGUAGES = 200

Numbered = tuple[int, ItemRow | RowProblem]
Rows = Iterable[Numbered]


def generated_id(seed: bytes, import_id: int, line: int) -> str:
    """The external id of a row that brought none. It cannot be guessed, so no file names it before it is there."""
    return f"item-{hashlib.sha256(seed + f'id:{import_id}:{line}'.encode()).hexdigest()[:20]}"


def batches(rows: Rows, most: int) -> Iterator[list[Numbered]]:
    """Yield rows in lists of at most `most`, and of about 8 million characters."""
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
    flat = sum(len(value) if isinstance(value, str) else 8 for value in row.metadata.values())
    nested = sum(len(repr(value)) for value in row.metadata.values() if isinstance(value, (dict, list)))
    return sum(len(part.text or "") for part in row.parts) + flat + nested + 200 * len(row.annotations)


def parts_of(row: ItemRow) -> list[dict[str, str]]:
    """The parts as they are stored."""
    return [part.as_json() for part in row.parts]


@dataclass(slots=True)
class Sorted:
    """A batch, told apart. `known`: the row, and the item that it is (None: a row before it in the same batch)."""

    fresh: list[tuple[int, ItemRow]] = field(default_factory=list)
    known: list[tuple[ItemRow, Item | None]] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)


class Sorter:
    """Tells rows that become items from rows that are there and rows that are wrong, batch after batch of one file."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._languages: set[str] = set()

    def sort(self, batch: list[Numbered]) -> Sorted:
        """Tell the rows of the next batch apart."""
        media = self._known_media(batch)
        wanted = [row.external_id for _line, row in batch if isinstance(row, ItemRow) and row.external_id is not None]
        existing = {
            item.external_id: item
            for item in Item.objects.filter(project=self._project, external_id__in=wanted).select_related("payload")
        }
        in_batch: dict[str, list[dict[str, str]]] = {}
        found = Sorted()
        for line, row in batch:
            reason = row.reason if isinstance(row, RowProblem) else self._find_fault(row, media)
            if reason is None and isinstance(row, ItemRow) and row.external_id is not None:
                item = existing.get(row.external_id)
                if item is not None or row.external_id in in_batch:
                    reason = _find_difference(row, item, in_batch.get(row.external_id, []))
                    if reason is None:
                        found.known.append((row, item))
                        continue
                else:
                    in_batch[row.external_id] = parts_of(row)
            if reason is not None:
                found.wrong.append((line, reason))
            elif isinstance(row, ItemRow):
                found.fresh.append((line, row))
        return found

    def _known_media(self, batch: list[Numbered]) -> dict[str, str]:
        wanted = {sha for _line, row in batch if isinstance(row, ItemRow) for _kind, sha in row.media()}
        if not wanted:
            return {}
        return dict(Media.objects.filter(project=self._project, sha256__in=wanted).values_list("sha256", "mime"))

    def _find_fault(self, row: ItemRow, media: dict[str, str]) -> str | None:
        for kind, sha in row.media():
            mime = media.get(sha)
            if mime is None:
                where = "PUT projects/SLUG/media/SHA256"
                return _("The file %(sha)s is not here. Upload it first: %(where)s.") % {"sha": sha, "where": where}
            if not mime.startswith(f"{kind}/"):
                return _("The file %(sha)s is %(mime)s, not %(kind)s.") % {"sha": sha, "mime": mime, "kind": kind}
        language = str(row.metadata.get("language", "")).lower()
        if language not in self._languages:
            if len(self._languages) >= MAX_LANGUAGES:
                return _("The file has more than %(most)d languages.") % {"most": MAX_LANGUAGES}
            self._languages.add(language)
        return None


def _find_difference(row: ItemRow, item: Item | None, in_batch: list[dict[str, str]]) -> str | None:
    """None where the row is the item that is there (or the row before it in this batch); else why it is not."""
    if item is None:
        parts: Any = in_batch
    elif not item.has_own_id:
        return _("This external_id was given by Touchstone to another item. Choose another one.")
    elif item.lifecycle == Item.Lifecycle.ERASED or not hasattr(item, "payload"):
        return _("An item of this external_id was erased. Choose another one.")
    else:
        parts = item.payload.parts
    if parts != parts_of(row):
        return _("This external_id is taken by an item with other parts. Parts never change; choose another id.")
    return None
