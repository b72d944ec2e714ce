"""A frozen snapshot as rows, in batches: each batch a few short queries, walked by item id, never one long transaction.

Everything in `labels` and `annotations` comes from rows that never change (members, annotations, labels, seats that a
snapshot has used), so that the same snapshot gives the same rows at any later time. `items` is the content, and what
people wrote about it: what was erased or sealed since then is not in it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from annotation.media import media_path
from annotation.models import Annotation, AnnotationText, Item, ItemPayload, Label, LabelSchema, Media, Project, Seat
from learning.models import Snapshot, SnapshotMember
from learning.snapshots.canonical import to_canonical
from learning.snapshots.columns import QuestionColumn, columns_of
from reviewers.consensus.weighing import SUFFIX
from reviewers.models import AdjudicationNote

BATCH = 5_000  # items; it is also the row group, so changing it changes the bytes
CONTENT_BATCH = 500
CONTENT_GROUP_BYTES = 32 * 1024**2
WITHDRAWN = (Item.Lifecycle.QUARANTINED, Item.Lifecycle.ERASED)
_ADJUDICATED = 3

_PART = pa.struct(
    [
        ("name", pa.string()),
        ("kind", pa.string()),
        ("role", pa.string()),
        ("text", pa.string()),
        ("media", pa.string()),
        ("mime", pa.string()),
        ("bytes", pa.large_binary()),
    ]
)
# A text answer: by whom it was given stands in `annotations`; without an annotation it is the reviewer's.
_TEXT = pa.struct([("question", pa.string()), ("annotation_id", pa.string()), ("text", pa.string())])
ITEM_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("external_id", pa.string()),
        ("commitment", pa.string()),
        ("salt", pa.string()),
        ("group", pa.string()),
        ("metadata", pa.string()),
        ("parts", pa.list_(_PART)),
        ("texts", pa.list_(_TEXT)),
    ]
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of `labels` and of `annotations` for the same items, both sorted by item id."""

    labels: list[dict[str, Any]]
    annotations: list[dict[str, Any]]


@dataclass(slots=True)
class _Found:
    """What the queries of one batch brought."""

    items: dict[int, dict[str, Any]]
    members: dict[int, list[SnapshotMember]]
    annotations: dict[int, list[dict[str, Any]]]  # by item, oldest first
    labels: dict[int, dict[int, dict[str, Any]]] = field(default_factory=dict)  # by annotation, by question


def label_schema(columns: Sequence[QuestionColumn]) -> pa.Schema:
    """Return the Arrow schema of `labels`."""
    fields = [
        ("item_id", pa.string()),
        ("external_id", pa.string()),
        ("commitment", pa.string()),
        ("split", pa.string()),
        ("draw", pa.string()),
        ("n_annotations", pa.int32()),
        ("n_simulated", pa.int32()),
    ]
    for column in columns:
        fields += [
            (column.value_column, column.arrow_type),
            (column.confidence_column, pa.float64()),
            (column.source_column, pa.string()),
        ]
    return pa.schema(fields)


def annotation_schema(columns: Sequence[QuestionColumn]) -> pa.Schema:
    """Return the Arrow schema of `annotations`."""
    fields = [
        ("annotation_id", pa.string()),
        ("item_id", pa.string()),
        ("annotator", pa.string()),
        ("source", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("seconds", pa.float64()),
        ("unsure", pa.bool_()),
        ("flag", pa.string()),
        ("clauses", pa.list_(pa.string())),
        ("suggestion", pa.string()),
        ("draw", pa.string()),
        ("schema_version", pa.int32()),
        ("guideline_version", pa.int32()),
    ]
    return pa.schema(fields + [(column.value_column, column.arrow_type) for column in columns])


def make_pseudonym(project: Project, person_id: int) -> str:
    """Return the name of a person in the project's snapshots: a keyed hash, the same in each of them, and no way back
    without the project's seed."""
    digest = hmac.new(bytes(project.seed), f"snapshot annotator {person_id}".encode(), hashlib.sha256)
    return f"annotator-{digest.hexdigest()[:16]}"


def iter_batches(snapshot: Snapshot, columns: Sequence[QuestionColumn]) -> Iterator[Batch]:
    """Yield the snapshot's rows, BATCH items at a time."""
    # By schema: an answer is spelled by the schema that it was given under.
    own_columns: dict[int, list[QuestionColumn]] = {}
    for ids in _iter_item_ids(snapshot, BATCH):
        found = _find(snapshot, ids)
        rows: list[dict[str, Any]] = []
        for item_id in ids:
            for annotation in found.annotations[item_id]:
                schema_id = annotation["schema_id"]
                if schema_id not in own_columns:
                    own_columns[schema_id] = columns_of(LabelSchema.objects.get(pk=schema_id).compiled)
                rows.append(_annotation_row(snapshot.project, annotation, found, columns, own_columns[schema_id]))
        yield Batch([_label_row(found, item_id, columns) for item_id in ids], rows)


def iter_content(snapshot: Snapshot, missing: set[str], texts: Mapping[int, str]) -> Iterator[list[dict[str, Any]]]:
    """Yield row groups of `items`. The SHA-256 of media whose file is not there is added to `missing`.

    `texts`: the text questions whose answers belong to it, id -> name.
    """
    group: list[dict[str, Any]] = []
    size = 0
    for ids in _iter_item_ids(snapshot, CONTENT_BATCH):
        payloads = (
            ItemPayload.objects.filter(item_id__in=ids).exclude(item__lifecycle__in=WITHDRAWN).select_related("item")
        )
        held = sorted(payloads, key=lambda payload: payload.item_id)
        said = _find_texts(snapshot, [payload.item_id for payload in held], texts) if texts else {}
        wanted = {part["media"] for payload in held for part in payload.parts if part.get("media")}
        mimes = dict(
            Media.objects.filter(project_id=snapshot.project_id, sha256__in=wanted, is_sealed=False).values_list(
                "sha256", "mime"
            )
        )
        for payload in held:
            row, n_bytes = _content_row(snapshot.project_id, payload, mimes, missing)
            row["texts"] = said.get(payload.item_id, [])
            n_bytes += sum(len(one["text"]) for one in row["texts"])
            group.append(row)
            size += n_bytes
            if size >= CONTENT_GROUP_BYTES or len(group) >= BATCH:
                yield group
                group, size = [], 0
    if group:
        yield group


def _find_texts(
    snapshot: Snapshot, ids: Sequence[int], names: Mapping[int, str]
) -> dict[int, list[dict[str, str | None]]]:
    """By item, what the annotations behind the snapshot say to the text questions, then what reviewers had decided."""
    behind: set[int] = set()
    for member in SnapshotMember.objects.filter(snapshot=snapshot, item_id__in=ids):
        behind.update(member.annotations)
    found: dict[int, list[dict[str, str | None]]] = defaultdict(list)
    rows = AnnotationText.objects.filter(annotation__in=behind).order_by("annotation")
    for annotation_id, item_id, answers in rows.values_list("annotation", "annotation__item", "answers"):
        for number, name in names.items():
            if (text := answers.get(str(number))) is not None:
                found[item_id].append({"question": name, "annotation_id": str(annotation_id), "text": text})
    decided: dict[tuple[int, int], str] = {}
    notes = AdjudicationNote.objects.filter(
        adjudication__item__in=ids, adjudication__created_at__lte=snapshot.created_at
    )
    for item_id, answers in notes.order_by("adjudication").values_list("adjudication__item", "answers"):
        decided |= {(item_id, int(number)): text for number, text in answers.items() if int(number) in names}
    for (item_id, number), text in sorted(decided.items()):
        found[item_id].append({"question": names[number], "annotation_id": None, "text": text})
    return found


def _iter_item_ids(snapshot: Snapshot, n: int) -> Iterator[list[int]]:
    after = -(2**63)
    while True:
        members = SnapshotMember.objects.filter(snapshot=snapshot, item_id__gt=after)
        ids = list(members.order_by("item_id").values_list("item_id", flat=True).distinct()[:n])
        if not ids:
            return
        yield ids
        after = ids[-1]


def _find(snapshot: Snapshot, ids: Sequence[int]) -> _Found:
    members: dict[int, list[SnapshotMember]] = {item_id: [] for item_id in ids}
    for member in SnapshotMember.objects.filter(snapshot=snapshot, item_id__in=ids):
        members[member.item_id].append(member)
    behind = sorted({one for rows in members.values() for member in rows for one in member.annotations})
    annotations: dict[int, list[dict[str, Any]]] = {item_id: [] for item_id in ids}
    for annotation in (
        Annotation.objects.filter(pk__in=behind)
        .order_by("pk")
        .values(
            "pk",
            "item_id",
            "person_id",
            "source",
            "created_at",
            "seconds",
            "is_unsure",
            "flag",
            "clauses",
            "schema_id",
            "schema__version",
            "guideline__version",
            "seat__arm",
            "seat__draw__stream",
            "seat__draw__strategy",
        )
    ):
        annotations[annotation["item_id"]].append(dict(annotation))
    found = _Found(
        items={
            row["pk"]: dict(row)
            for row in Item.objects.filter(pk__in=ids).values("pk", "external_id", "commitment", "split")
        },
        members=members,
        annotations=annotations,
        labels=defaultdict(dict),
    )
    for label in Label.objects.filter(annotation_id__in=behind).values(
        "annotation_id", "question", "choice", "choices", "number", "data"
    ):
        found.labels[label["annotation_id"]][label["question"]] = dict(label)
    return found


def _draw(annotation: Mapping[str, Any]) -> str | None:
    """`stream/strategy` of the draw that a seat was stamped with; None where no draw put the item there."""
    if annotation["seat__draw__stream"] is None:
        return None
    return f"{annotation['seat__draw__stream']}/{annotation['seat__draw__strategy']}"


def _label_row(found: _Found, item_id: int, columns: Sequence[QuestionColumn]) -> dict[str, Any]:
    item, annotations = found.items[item_id], found.annotations[item_id]
    row = {
        "item_id": str(item_id),
        "external_id": item["external_id"],
        "commitment": bytes(item["commitment"]).hex(),
        "split": Item.Split(item["split"]).name.lower(),
        # Of several people the first: later seats on the item were served because of the same draw, or after it.
        "draw": _draw(annotations[0]) if annotations else None,
        "n_annotations": len(annotations),
        "n_simulated": sum(one["source"] == Annotation.Source.SIMULATED for one in annotations),
    }
    members = {member.question: member for member in found.members[item_id]}
    for column in columns:
        member = members.get(column.question_id)
        value = confidence = source = None
        if member is not None:
            value = column.spell(choice=member.choice, choices=member.choices, number=member.number, data=member.data)
            confidence = member.confidence
            has_model = member.method.endswith(SUFFIX)
            source = "adjudication" if member.state == _ADJUDICATED else "vote+model" if has_model else "vote"
        row |= {column.value_column: value, column.confidence_column: confidence, column.source_column: source}
    return row


def _annotation_row(
    project: Project,
    annotation: Mapping[str, Any],
    found: _Found,
    columns: Sequence[QuestionColumn],
    own_columns: Sequence[QuestionColumn],
) -> dict[str, Any]:
    row = {
        "annotation_id": str(annotation["pk"]),
        "item_id": str(annotation["item_id"]),
        "annotator": make_pseudonym(project, annotation["person_id"]),
        "source": annotation["source"],
        "created_at": annotation["created_at"],
        "seconds": annotation["seconds"],
        "unsure": annotation["is_unsure"],
        "flag": annotation["flag"] or None,
        "clauses": annotation["clauses"],
        "suggestion": Seat.Arm(annotation["seat__arm"]).name.lower(),
        "draw": _draw(annotation),
        "schema_version": annotation["schema__version"],
        "guideline_version": annotation["guideline__version"],
    }
    spelled_by = {(column.question_id, column.kind): column for column in own_columns}
    labels = found.labels.get(annotation["pk"], {})
    for column in columns:
        label, own = labels.get(column.question_id), spelled_by.get((column.question_id, column.kind))
        row[column.value_column] = (
            None
            if label is None or own is None
            else own.spell(choice=label["choice"], choices=label["choices"], number=label["number"], data=label["data"])
        )
    return row


def _content_row(
    project_id: int, payload: ItemPayload, mimes: Mapping[str, str], missing: set[str]
) -> tuple[dict[str, Any], int]:
    """Return a row of `items` and about how many bytes it takes."""
    parts, size = [], 0
    for part in payload.parts:
        content: bytes | None = None
        sha256 = part.get("media")
        if sha256:
            try:
                content = media_path(project_id, sha256).read_bytes() if sha256 in mimes else None
            except FileNotFoundError:
                content = None
            if content is None:  # erased, or sealed by the quarantine of another item that shows it
                missing.add(sha256)
        size += len(content or b"") + len(part.get("text") or "")
        parts.append(
            {
                "name": part["name"],
                "kind": part["kind"],
                "role": part["role"],
                "text": part.get("text"),
                "media": sha256,
                "mime": mimes.get(sha256) if sha256 else None,
                "bytes": content,
            }
        )
    item = payload.item
    row = {
        "item_id": str(item.pk),
        "external_id": item.external_id,
        "commitment": bytes(item.commitment).hex(),
        "salt": bytes(payload.salt).hex(),
        "group": item.group or None,
        "metadata": to_canonical(item.metadata).decode(),
        "parts": parts,
    }
    return row, size
