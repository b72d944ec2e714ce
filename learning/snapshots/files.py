"""A folder with a snapshot's files: built beside the published ones, whole on disk before anybody sees it.

A published folder is SNAPSHOT_DIR/<project pk>/<version>; where content was withdrawn since, `<version>+<revision>`,
and the manifest in the row says which. Temporary folders begin with a dot. No rows are written here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings

from annotation.durable import sync_path
from annotation.kinds import KINDS
from annotation.models import Annotation, LabelSchema
from learning.models import Snapshot, SnapshotMember
from learning.snapshots import verify
from learning.snapshots.canonical import to_canonical, to_document
from learning.snapshots.columns import QuestionColumn, columns_of
from learning.snapshots.documents import MANIFEST, MEDIA_TYPES, count_numbers, seal, write_card, write_croissant
from learning.snapshots.merkle import MerkleTree
from learning.snapshots.parquet import TableWriter
from learning.snapshots.rows import (
    ITEM_SCHEMA,
    annotation_schema,
    iter_batches,
    iter_content,
    label_schema,
)

_FILES = tuple(name for name in MEDIA_TYPES if name != MANIFEST)
Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class _Counts:
    """What is counted while the rows go by."""

    items: int = 0
    annotations: int = 0
    annotators: set[str] = field(default_factory=set)
    by_source: Counter[str] = field(default_factory=Counter)
    by_split: Counter[str] = field(default_factory=Counter)
    deciders: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Counter[str]] = field(default_factory=dict)

    def add_item(self, row: Mapping[str, Any], columns: Sequence[QuestionColumn]) -> None:
        self.items += 1
        self.by_split[row["split"]] += 1
        for column in columns:
            if row[column.source_column] is None:
                continue
            self.deciders[row[column.source_column]] += 1
            counter = self.labels.setdefault(column.name, Counter())
            counter.update(column.count(row[column.value_column]))

    def add_annotation(self, row: Mapping[str, Any]) -> None:
        self.annotations += 1
        self.annotators.add(row["annotator"])
        self.by_source[row["source"]] += 1


def project_folder(project_id: int) -> Path:
    """Return where a project's snapshots lie, whether it is there or not."""
    return Path(settings.SNAPSHOT_DIR) / str(int(project_id))


def published_folder(snapshot: Snapshot, manifest: Mapping[str, Any] | None = None) -> Path:
    """Return where a snapshot's files lie (or will lie, with this manifest)."""
    revision = (manifest or snapshot.manifest or {}).get("revision", 0)
    name = f"{snapshot.version}+{revision}" if revision else snapshot.version
    return project_folder(snapshot.project_id) / name


def temporary_folder(snapshot: Snapshot) -> Path:
    """Return an empty folder to build in. What earlier attempts at this snapshot left is gone."""
    base = project_folder(snapshot.project_id)
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_leftovers(snapshot)
    folder = base / f".building-{snapshot.pk}"
    folder.mkdir(mode=0o700)
    return folder


def remove_leftovers(snapshot: Snapshot) -> None:
    """Remove what attempts at this snapshot left behind; published files are never touched."""
    base = project_folder(snapshot.project_id)
    for prefix in (".building", ".replaced"):
        shutil.rmtree(base / f"{prefix}-{snapshot.pk}", ignore_errors=True)


def build_files(snapshot: Snapshot, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write every file of a frozen snapshot into an empty folder and return its manifest. All of it is on disk then.

    `progress(done, total)` is called after each batch, in items, each item counted for its labels and for its content;
    what it raises ends the work. The bytes depend on the snapshot, and `items.parquet` on what was erased since.
    """
    frozen = snapshot.manifest or {}
    compiled = LabelSchema.objects.get(pk=frozen["schema"]).compiled
    asked = [question for question in compiled["questions"] if question["id"] in frozen["questions"]]
    texts = {question["id"]: question["name"] for question in asked if KINDS[question["kind"]].COLUMN == "text"}
    columns = columns_of({"questions": asked})
    schemas = {
        "labels.parquet": label_schema(columns),
        "annotations.parquet": annotation_schema(columns),
        "items.parquet": ITEM_SCHEMA,
    }
    n_items = SnapshotMember.objects.filter(snapshot=snapshot).values("item_id").distinct().count()
    counts, root = _write_labels(snapshot, folder, columns, schemas, lambda done: progress(done, 2 * n_items))
    missing: set[str] = set()
    with TableWriter(folder / "items.parquet", ITEM_SCHEMA) as items:
        for group in iter_content(snapshot, missing, texts):
            items.write(group)
            progress(n_items + items.n_rows, 2 * n_items)
    manifest = {
        "format": 1,
        "revision": 0,
        "project": snapshot.project.slug,
        "version": snapshot.version,
        "created_at": _show_time(snapshot.created_at),
        "query": snapshot.query,
        "schema_version": frozen["schema_version"],
        "guideline_version": frozen["guideline_version"],
        "method": {"rule": frozen["rule"]},
        "questions": [
            {
                "name": column.name,
                "kind": column.kind,
                "columns": {
                    "value": column.value_column,
                    "confidence": column.confidence_column,
                    "source": column.source_column,
                },
            }
            for column in columns
        ]
        + [{"name": name, "kind": "text", "columns": {}} for name in texts.values()],
        "counts": {
            "items": counts.items,
            "annotations": counts.annotations,
            "annotators": len(counts.annotators),
            "annotations_by_source": dict(counts.by_source),
            "simulated_annotations": counts.by_source[Annotation.Source.SIMULATED],
            "by_split": dict(counts.by_split),
            "by_vote": counts.deciders["vote"] + counts.deciders["vote+model"],
            "by_vote_with_model": counts.deciders["vote+model"],
            "by_adjudication": counts.deciders["adjudication"],
            "labels": {
                column.name: count_numbers(counts.labels[column.name])
                if column.kind == "number"
                else dict(counts.labels[column.name])
                for column in columns
                if column.name in counts.labels
            },
            "withdrawn": counts.items - items.n_rows,
            "missing_media": len(missing),
        },
        "merkle_root": root,
        "merkle": "RFC 6962 with SHA-256 over the lines of labels.jsonl; their leaf hashes are labels.leaves",
        "software": {"touchstone": metadata.version("touchstone"), "pyarrow": pa.__version__},
    }
    return _finish(folder, manifest, schemas)


def _write_labels(
    snapshot: Snapshot,
    folder: Path,
    columns: Sequence[QuestionColumn],
    schemas: Mapping[str, pa.Schema],
    progress: Callable[[int], None],
) -> tuple[_Counts, str]:
    """Write labels.* and annotations.parquet; return what was counted and the Merkle root in hex."""
    counts, tree = _Counts(), MerkleTree()
    with (
        TableWriter(folder / "labels.parquet", schemas["labels.parquet"]) as labels,
        TableWriter(folder / "annotations.parquet", schemas["annotations.parquet"]) as annotations,
        (folder / "labels.jsonl").open("wb") as lines,
        (folder / "labels.leaves").open("wb") as leaves,
    ):
        for batch in iter_batches(snapshot, columns):
            labels.write(batch.labels)
            annotations.write(batch.annotations)
            for row in batch.labels:
                line = to_canonical(row)
                lines.write(line + b"\n")
                leaves.write(tree.append(line).hex().encode() + b"\n")
                counts.add_item(row, columns)
            for row in batch.annotations:
                counts.add_annotation(row)
            progress(counts.items)
    return counts, tree.root().hex()


def rebuild_without(snapshot: Snapshot, folder: Path, withdrawn: Collection[str]) -> dict[str, Any]:
    """Write the published files into an empty folder, their content without these items (ids as text).

    Returns the new manifest. Labels, annotations and the root stay as they are; `revision` grows.
    """
    old, source = snapshot.manifest or {}, published_folder(snapshot)
    for name in ("labels.parquet", "labels.jsonl", "labels.leaves", "annotations.parquet"):
        os.link(source / name, folder / name)
    n_kept = 0
    with (
        pq.ParquetFile(source / "items.parquet") as content,
        TableWriter(folder / "items.parquet", ITEM_SCHEMA) as items,
    ):
        for index in range(content.num_row_groups):
            rows = content.read_row_group(index).to_pylist()
            items.write([row for row in rows if row["item_id"] not in withdrawn])
        n_kept = items.n_rows
        schemas = {
            "labels.parquet": pq.read_schema(source / "labels.parquet"),
            "annotations.parquet": pq.read_schema(source / "annotations.parquet"),
            "items.parquet": ITEM_SCHEMA,
        }
    manifest = {
        **old,
        "revision": old["revision"] + 1,
        "counts": {**old["counts"], "withdrawn": old["counts"]["items"] - n_kept},
        "software": {**old["software"], "pyarrow": pa.__version__},
    }
    return _finish(folder, manifest, schemas)


def _finish(folder: Path, manifest: dict[str, Any], schemas: Mapping[str, pa.Schema]) -> dict[str, Any]:
    """Write the documents, seal the manifest over all files, and bring everything to disk."""
    (folder / "card.md").write_bytes(write_card(manifest).encode())
    described = [_describe(folder / name) for name in schemas]
    (folder / "croissant.json").write_bytes(to_document(write_croissant(manifest, described, schemas)))
    shutil.copyfile(verify.__file__, folder / "verify.py")
    # As JSON reads it back, so that the stored row and the file are the same value.
    sealed: dict[str, Any] = json.loads(
        to_canonical(seal({**manifest, "files": [_describe(folder / name) for name in sorted(_FILES)]}))
    )
    (folder / MANIFEST).write_bytes(to_document(sealed))
    for name in (*_FILES, MANIFEST):
        sync_path(folder / name)
    sync_path(folder)
    return sealed


def move_into_place(snapshot: Snapshot, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Rename a built folder to its published name and bring that to disk. Only under the row's lock, before the flip.

    A folder may be there that an attempt left which died between the rename and the flip: nobody was shown it.
    """
    target = published_folder(snapshot, manifest)
    if target.exists():
        os.rename(target, target.parent / f".replaced-{snapshot.pk}")
    os.rename(folder, target)
    sync_path(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder that no row points to any more."""
    shutil.rmtree(folder, ignore_errors=True)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {
            "path": path.name,
            "size": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def _show_time(at: datetime) -> str:
    """ISO 8601 in UTC with microseconds, as the API shows times, whatever time zone the database session has."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
