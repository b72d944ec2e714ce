"""What a row must be to become an item: parts, metadata, annotations that come along, known answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError
from annotation.fetching import FetchError, check_url
from annotation.hints import find_hint_fault
from annotation.importing.formats import MAX_DEPTH, RowProblem, parse_json_object
from annotation.kinds import LabelValue, Part
from annotation.plain_text import find_line_fault, find_storage_fault, quote
from annotation.schema import AnswersError, Compiled, parse_answers
from annotation.vectors import VectorError, parse_vector

MAX_ID = 200
MAX_TEXT = 1_000_000  # code points
MAX_PARTS = 50
MAX_PART_NAME = 100
MAX_METADATA_BYTES = 64 * 1024  # as compact JSON in UTF-8
MAX_ANNOTATIONS = 1000
MAX_ANNOTATOR = 150

PART_KINDS = ("text", "image", "audio", "video")
ROLES = ("target", "context")

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ROW_KEYS = frozenset({"external_id", "group", "parts", "metadata", "annotations", "gold", "embedding"})
_PART_KEYS = frozenset({"name", "kind", "role", "text", "media", "url"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LANGUAGE = re.compile(r"(?:[a-z]{2,3}(?:-[a-z0-9]{1,8})*|[xi](?:-[a-z0-9]{1,8})+)", re.IGNORECASE | re.ASCII)


class RowError(TouchstoneError):
    """The row is not a valid item."""

    code = "invalid_row"


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part. Exactly one of `text`, `media` (SHA-256, lower-case hex) and `url` is set: `text` where kind is text.

    A `url` becomes a `media` before the row is stored: what is stored is what was fetched, not where it was.
    """

    name: str
    kind: str
    role: str
    text: str | None = None
    media: str | None = None
    url: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return the part as a lease shows it, without a link to the media."""
        shown = {"name": self.name, "kind": self.kind, "role": self.role}
        return shown | ({"media": self.media} if self.text is None and self.media else {"text": self.text or ""})


@dataclass(frozen=True, slots=True)
class AnnotationRow:
    """An annotation that comes with an item: the person's name, and question id -> value."""

    annotator: str
    values: dict[int, LabelValue]


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A row that has passed every rule that needs no database. `gold`: question id -> value, of some questions.

    `embedding`: a vector of its content, as float32.
    """

    external_id: str | None
    group: str | None
    parts: tuple[PartRow, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    annotations: tuple[AnnotationRow, ...] = ()
    gold: dict[int, LabelValue] | None = None
    embedding: bytes | None = None

    def media(self) -> list[tuple[str, str]]:
        """Return (kind, SHA-256) of each part with media: the caller checks that the project holds them."""
        return [(part.kind, part.media) for part in self.parts if part.media is not None]


def parse_row(raw: object, schema: Compiled, *, text_column: str = "text") -> ItemRow:
    """Return the item that a row stands for; RowError holds a sentence that says what is wrong with it.

    A row with `parts` is one in CONTRACT's shape, and may have no other keys. A row without becomes one text part named
    `text` from the column `text_column`; `external_id`, `group`, `metadata`, `annotations`, `gold` and `embedding` mean
    what they mean elsewhere (in a table the last four are JSON), every further column becomes metadata. Nulls count as
    absent.
    """
    if not isinstance(raw, dict):
        raise RowError(_("The row is not an object."))
    row = {key: value for key, value in raw.items() if value is not None}
    if "parts" in row:
        unknown = sorted(str(key) for key in row if key not in _ROW_KEYS)
        if unknown:
            raise RowError(
                _("Unknown key %(key)s. What else belongs to the item goes into `metadata`.")
                % {"key": quote(unknown[0])}
            )
        metadata = _read_cell(row, "metadata", dict) or {}
        parts = _parse_parts(_read_cell(row, "parts", list))
    else:
        if text_column not in row:
            raise RowError(
                _("The row has no `parts` and no %(column)s, or these are empty.") % {"column": quote(text_column)}
            )
        metadata = _collect_columns(row, text_column)
        parts = (PartRow(name="text", kind="text", role="target", text=_check_text(row[text_column], "text")),)
    return ItemRow(
        external_id=_parse_id(row, "external_id"),
        group=_parse_id(row, "group"),
        parts=parts,
        metadata=_check_metadata(metadata) if metadata else metadata,
        annotations=_parse_annotations(_read_cell(row, "annotations", list) or [], schema, parts),
        gold=_parse_gold(_read_cell(row, "gold", dict), schema, parts),
        embedding=_parse_embedding(_read_cell(row, "embedding", list)),
    )


def make_image_row(path_inside: str, sha256: str) -> ItemRow:
    """Return the item that an image out of an archive becomes; its path inside is its external id."""
    fault = find_line_fault(path_inside, MAX_ID)
    if fault:
        raise RowError(_("The file's path %(fault)s.") % {"fault": fault})
    return ItemRow(
        external_id=path_inside, group=None, parts=(PartRow(name="image", kind="image", role="target", media=sha256),)
    )


def _read_cell(row: Mapping[str, Any], key: str, wanted: type) -> Any:
    """Return a list or object; a text is taken as the JSON of one, as a table's cell has it. None where absent."""
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        # Wrapped, so that one parser with one set of limits reads lists too.
        parsed = parse_json_object('{"":%s}' % value)  # noqa: UP031  (a brace inside a format string reads worse)
        value = None if isinstance(parsed, RowProblem) or len(parsed) > 1 else parsed[""]
        if value is None:
            raise RowError(_("`%(key)s` is not JSON.") % {"key": key})
    if not isinstance(value, wanted):
        expected = _("an object") if wanted is dict else _("a list")
        raise RowError(_("`%(key)s` must be %(expected)s.") % {"key": key, "expected": expected})
    return value


def _parse_id(row: Mapping[str, Any], key: str) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # tables often count their rows; 17 and "17" are one id
    fault = find_line_fault(value, MAX_ID)
    if fault:
        raise RowError(_("`%(key)s` %(fault)s.") % {"key": key, "fault": fault})
    return str(value)


def _check_text(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise RowError(_("Part %(name)s: `text` is not a text.") % {"name": quote(name)})
    if not text:
        raise RowError(_("Part %(name)s: the text is empty.") % {"name": quote(name)})
    if len(text) > MAX_TEXT:
        raise RowError(
            _("Part %(name)s: the text has %(found)d characters, at most %(most)d are accepted.")
            % {"name": quote(name), "found": len(text), "most": MAX_TEXT}
        )
    fault = find_storage_fault(text)
    if fault:
        raise RowError(_("Part %(name)s: the text %(fault)s.") % {"name": quote(name), "fault": fault})
    return text


def _parse_parts(raw: list[Any]) -> tuple[PartRow, ...]:
    if not 1 <= len(raw) <= MAX_PARTS:
        raise RowError(_("`parts` must be a list of 1 to %(most)d parts.") % {"most": MAX_PARTS})
    sent: list[dict[str, Any]] = []
    for position, part in enumerate(raw, start=1):
        if not isinstance(part, dict):
            raise RowError(_("Part %(position)d is not an object.") % {"position": position})
        sent.append({key: value for key, value in part.items() if value is not None})
    names = _name_parts(sent)
    parts = tuple(_parse_part(part, name) for part, name in zip(sent, names, strict=True))
    if all(part.role == "context" for part in parts):
        raise RowError(_("Every part has the role context: one must be the target."))
    return parts


def _name_parts(sent: Iterable[dict[str, Any]]) -> list[str]:
    """Return a name for each part: its own, else its kind, `kind-2`, ... where that is taken."""
    sent = list(sent)
    used: set[str] = set()
    for position, part in enumerate(sent, start=1):
        kind, name = part.get("kind"), part.get("name")
        if kind not in PART_KINDS:
            raise RowError(
                _("Part %(position)d: `kind` must be one of %(kinds)s.")
                % {"position": position, "kinds": ", ".join(PART_KINDS)}
            )
        if "name" in part:
            fault = find_line_fault(name, MAX_PART_NAME)
            if fault:
                raise RowError(_("Part %(position)d: `name` %(fault)s.") % {"position": position, "fault": fault})
            if name in used:
                raise RowError(_("Two parts are named %(name)s.") % {"name": quote(name)})
            used.add(str(name))
    names: list[str] = []
    for part in sent:
        name = part.get("name")
        if name is None:
            name, count = part["kind"], 2
            while name in used:
                name, count = f"{part['kind']}-{count}", count + 1
            used.add(name)
        names.append(name)
    return names


def _parse_part(part: dict[str, Any], name: str) -> PartRow:
    shown = quote(name)
    unknown = sorted(str(key) for key in part if key not in _PART_KEYS)
    if unknown:
        raise RowError(_("Part %(name)s: unknown key %(key)s.") % {"name": shown, "key": quote(unknown[0])})
    role = part.get("role", "target")
    if role not in ROLES:
        raise RowError(_("Part %(name)s: `role` must be target or context.") % {"name": shown})
    if part["kind"] == "text":
        if "media" in part or "url" in part or "text" not in part:
            raise RowError(_("Part %(name)s: a text part has a `text`, and no `media` or `url`.") % {"name": shown})
        return PartRow(name=name, kind="text", role=role, text=_check_text(part["text"], name))
    if "text" in part or ("media" in part) == ("url" in part):
        raise RowError(_("Part %(name)s: a part of media has a `media` or a `url`, and no `text`.") % {"name": shown})
    if "url" in part:
        try:
            return PartRow(name=name, kind=part["kind"], role=role, url=check_url(part["url"]))
        except FetchError as error:
            raise RowError(_("Part %(name)s: %(fault)s") % {"name": shown, "fault": error.detail}) from error
    sha256 = part["media"]
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise RowError(
            _("Part %(name)s: `media` must be the SHA-256 of an uploaded file, 64 of 0-9 and a-f.") % {"name": shown}
        )
    return PartRow(name=name, kind=part["kind"], role=role, media=sha256)


def _collect_columns(row: Mapping[str, Any], text_column: str) -> dict[str, Any]:
    """Return the metadata of a row without parts: its `metadata`, and every column that means nothing else."""
    metadata = dict(_read_cell(row, "metadata", dict) or {})
    for key, value in row.items():
        if key in _ROW_KEYS or key == text_column:
            continue
        if key in metadata:
            raise RowError(_("%(key)s is a column and stands in `metadata` too.") % {"key": quote(key)})
        metadata[key] = value
    return metadata


def _check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    _check_json(metadata, MAX_DEPTH)
    size = len(_COMPACT.encode(metadata).encode())
    if size > MAX_METADATA_BYTES:
        raise RowError(
            _("The metadata has %(found)d bytes, at most %(most)d are accepted.")
            % {"found": size, "most": MAX_METADATA_BYTES}
        )
    language = metadata.get("language")
    if language is not None and not (
        isinstance(language, str) and len(language) <= 35 and _LANGUAGE.fullmatch(language)
    ):
        raise RowError(
            _("`language` is %(language)s; it must be a language tag such as en, pt-BR or zh-Hant.")
            % {"language": quote(language)}
        )
    fault = find_hint_fault(metadata)
    if fault:
        raise RowError(fault)
    return metadata


def _check_json(value: object, levels: int) -> None:
    """Refuse what jsonb cannot hold: bad text anywhere, numbers that are not finite, over-deep nesting."""
    if levels < 0:
        raise RowError(_("The metadata is nested too deep."))
    if isinstance(value, str):
        fault = find_storage_fault(value)
        if fault:
            raise RowError(_("The metadata %(fault)s.") % {"fault": fault})
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise RowError(_("The metadata holds a number that is not finite."))
    elif isinstance(value, dict):
        for key, inner in value.items():
            fault = find_line_fault(key, 200)
            if fault:
                raise RowError(_("The metadata key %(key)s %(fault)s.") % {"key": quote(key), "fault": fault})
            _check_json(inner, levels - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_json(inner, levels - 1)
    elif value is not None and not isinstance(value, (bool, int)):
        raise RowError(_("The metadata holds something that JSON cannot hold."))


def _measure(parts: Iterable[PartRow]) -> dict[str, Part]:
    """The parts as answers are held against them."""
    return {part.name: Part(part.kind, None if part.text is None else len(part.text)) for part in parts}


def _parse_annotations(raw: list[Any], schema: Compiled, parts: tuple[PartRow, ...]) -> tuple[AnnotationRow, ...]:
    if not raw:
        return ()
    if len(raw) > MAX_ANNOTATIONS:
        raise RowError(_("A row brings at most %(most)d annotations.") % {"most": MAX_ANNOTATIONS})
    found: dict[str, AnnotationRow] = {}
    for position, one in enumerate(raw, start=1):
        if not isinstance(one, dict) or not {"annotator", "answers"} >= one.keys():
            raise RowError(
                _('Annotation %(position)d must be {"annotator": NAME, "answers": {...}}.') % {"position": position}
            )
        annotator = one.get("annotator")
        fault = find_line_fault(annotator, MAX_ANNOTATOR)
        if fault or not isinstance(annotator, str):
            raise RowError(
                _("Annotation %(position)d: `annotator` %(fault)s.") % {"position": position, "fault": fault}
            )
        if annotator in found:
            raise RowError(
                _("%(annotator)s annotates the item twice; one person annotates an item once.")
                % {"annotator": quote(annotator)}
            )
        try:
            values = parse_answers(schema, one.get("answers"), read_parts=lambda: _measure(parts))
        except AnswersError as error:
            where = _("Annotation %(position)d: ") % {"position": position}
            raise RowError(where + error.detail) from error
        found[annotator] = AnnotationRow(annotator=annotator, values=values)
    return tuple(found.values())


def _parse_embedding(raw: list[Any] | None) -> bytes | None:
    if raw is None:
        return None
    try:
        return parse_vector(raw)
    except VectorError as error:
        raise RowError(_("Embedding: ") + str(error)) from error


def _parse_gold(
    raw: dict[str, Any] | None, schema: Compiled, parts: tuple[PartRow, ...]
) -> dict[int, LabelValue] | None:
    """Known answers may leave out any question; none at all is the same as no `gold`."""
    if raw is None:
        return None
    try:
        return parse_answers(schema, raw, required=(), read_parts=lambda: _measure(parts)) or None
    except AnswersError as error:
        raise RowError(_("Gold: ") + error.detail) from error
