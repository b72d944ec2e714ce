"""What stands for an item in a list: the beginning of its text, a small picture, or what kind of recording it is.

And what a page needs beside an item's parts to show them well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.access import Access
from annotation.models import Media
from annotation.serializers import link_media

EXCERPT = 160
TINY = 64  # pixels along the longest side, up to which a picture is shown pixel by pixel

Parts = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Face:
    """`text` is the beginning of the first text, `src` a small picture; either may be "".

    `kind` is that of the first part that is no text ("" for none), `seconds` how long that lasts (None: not known).
    """

    text: str = ""
    src: str = ""
    is_tiny: bool = False
    kind: str = ""
    seconds: float | None = None


def dress_parts(access: Access, parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The parts of one item as `show_part` gives them, with what shows them well.

    `is_tiny` says that a picture is to be shown pixel by pixel; `poster` is the address of a video's still picture, "".
    """
    media = _find_media(access, {part["media"] for part in parts if "media" in part})
    dressed = []
    for part in parts:
        row = media.get(part.get("media", ""))
        has_poster = row is not None and "mime" in (row.derivatives or {}).get("poster", {})
        poster = link_media(row.sha256, access, "poster") if row is not None and has_poster else ""
        dressed.append({**part, "is_tiny": row is not None and _is_tiny(row), "poster": poster})
    return dressed


def find_faces(access: Access, parts: Mapping[int, Parts]) -> dict[int, Face]:
    """The faces of items, from their parts by item id; one question to the database for all of them."""
    firsts = {item: part for item, found in parts.items() if (part := _first_media(found)) is not None}
    media = _find_media(access, {part["media"] for part in firsts.values()})
    return {item: _show(access, found, firsts.get(item), media) for item, found in parts.items()}


def excerpt_of(parts: Parts) -> str:
    """The beginning of the first text, "" where there is none."""
    text = next((str(part["text"]) for part in parts if part.get("text")), "")
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1].rstrip() + "…"


def _find_media(access: Access, sha256: set[str]) -> dict[str, Media]:
    if not sha256:
        return {}
    rows = Media.objects.filter(project=access.project, sha256__in=sha256, is_sealed=False)
    return {row.sha256: row for row in rows}


def _is_tiny(row: Media) -> bool:
    return 0 < max(row.width or 0, row.height or 0) <= TINY


def _first_media(parts: Parts) -> Mapping[str, Any] | None:
    return next((part for part in parts if "media" in part), None)


def _show(access: Access, parts: Parts, part: Mapping[str, Any] | None, media: Mapping[str, Media]) -> Face:
    text = excerpt_of(parts)
    row = media.get(part["media"]) if part is not None else None
    if part is None or row is None:
        return Face(text=text, kind=part["kind"] if part else "")
    made: dict[str, dict[str, Any]] = row.derivatives or {}
    is_shown = (part["kind"] == "image" and row.derivatives is None) or "mime" in made.get("thumb", {})
    return Face(
        text=text,
        src=link_media(row.sha256, access, "thumb") if is_shown else "",
        is_tiny=_is_tiny(row),
        kind=part["kind"],
        seconds=(made.get("poster") or made.get("peaks") or {}).get("seconds"),
    )
