"""Manifest, card and Croissant description: plain functions of what was counted, in English, without a clock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from annotation.kinds.number import shorten
from learning.snapshots.canonical import to_canonical

MOST_NUMBERS = 50
N_RANGES = 20
MANIFEST = "manifest.json"
TABLES = {
    "labels.parquet": "application/vnd.apache.parquet",
    "annotations.parquet": "application/vnd.apache.parquet",
    "items.parquet": "application/vnd.apache.parquet",
}
MEDIA_TYPES = {
    MANIFEST: "application/json",
    **TABLES,
    "labels.jsonl": "application/x-ndjson",
    "labels.leaves": "text/plain; charset=utf-8",
    "card.md": "text/markdown; charset=utf-8",
    "croissant.json": "application/ld+json",
    "verify.py": "text/x-python; charset=utf-8",
}
# What is counted of a kind whose values are lists.
_COUNTED = {
    "spans": "Items by the labels that occur in them:",
    "boxes": "Items by the labels that occur in them:",
    "segments": "Items by the labels that occur in them:",
    "ranking": "Items by the choice that comes first:",
}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def seal(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with `digest`: SHA-256 over the canonical rest, so that a changed byte shows by itself."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return {**rest, "digest": hashlib.sha256(to_canonical(rest)).hexdigest()}


def write_card(manifest: Mapping[str, Any]) -> str:
    """Return card.md: what this is, how it was made, what it is not. `files` of the manifest is not looked at."""
    counts = manifest["counts"]
    lines = [
        f"# {manifest['project']} {manifest['version']}",
        "",
        f"Items with accepted labels: {counts['items']}. Frozen on {manifest['created_at']}.",
        "",
        "## How it was made",
        "",
        f"- Annotations behind it: {counts['annotations']} ({_say_sources(counts['annotations_by_source'])})."
        f" Annotators: {counts['annotators']}.",
        f"- Rule: {_code(to_canonical(manifest['method']['rule']).decode())}."
        f" Decided by vote: {counts['by_vote']}, of these with a model's vote beside people's:"
        f" {counts['by_vote_with_model']}; by a reviewer: {counts['by_adjudication']}.",
        f"- Label schema version {manifest['schema_version']}, "
        + (
            "no guideline."
            if manifest["guideline_version"] is None
            else f"guideline version {manifest['guideline_version']}."
        ),
        f"- Query: {_code(to_canonical(manifest['query']).decode())}.",
        f"- Merkle root over the rows of labels.jsonl: {_code(manifest['merkle_root'])}.",
        "",
        "## What is in it",
        "",
    ]
    for question in manifest["questions"]:
        lines += [f"### {question['name']} ({question['kind']})", ""]
        if question["kind"] == "text":
            lines += ["Texts are content: they lie in `items.parquet`, column `texts`.", ""]
            continue
        lines += [*([_COUNTED[question["kind"]], ""] if question["kind"] in _COUNTED else [])]
        lines += ["| Value | Items |", "|---|---|"]
        values = counts["labels"].get(question["name"], {})
        lines += [f"| {_cell(value)} | {n} |" for value, n in sorted(values.items(), key=lambda one: (-one[1], one[0]))]
        lines.append("")
    lines += [
        f"Items by split: {', '.join(f'{name} {n}' for name, n in sorted(counts['by_split'].items()))}.",
        "",
        "## What to know before using it",
        "",
        "- Items of the holdout are for judging models and must not train them: see the column `split`.",
        "- How an item came to be labelled stands in the column `draw`. Where a strategy chose it,"
        " shares in these tables are not shares of the world.",
        "- Simulated annotations are marked in `annotations.parquet` (`source`) and counted in `n_simulated`.",
        "- Annotators stand under pseudonyms. Comments are not part of a snapshot.",
        "- Content lies in `items.parquet` alone."
        + (f" Items whose content was withdrawn: {counts['withdrawn']}." if counts["withdrawn"] else "")
        + (f" Media files that were not there: {counts['missing_media']}." if counts["missing_media"] else ""),
        "- `python verify.py` checks every byte.",
        "",
    ]
    return "\n".join(lines)


def count_numbers(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by number (as text) as they are; more than 50 different ones as counts by 20 equal ranges.

    A range is written "0..5" and holds its lower end; the last one holds both. Ranges that hold nothing are left out.
    """
    by_number = {float(text): n for text, n in counts.items()}
    if len(by_number) <= MOST_NUMBERS:
        return {str(shorten(number)): n for number, n in by_number.items()}
    low, width = min(by_number), (max(by_number) - min(by_number)) / N_RANGES
    ends = [f"{low + width * place:.10g}" for place in range(N_RANGES + 1)]
    ranges: dict[str, int] = {}
    for number, n in by_number.items():
        place = min(int((number - low) / width), N_RANGES - 1)
        name = f"{ends[place]}..{ends[place + 1]}"
        ranges[name] = ranges.get(name, 0) + n
    return ranges


def _say_sources(by_source: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {source}" for source, n in sorted(by_source.items())) or "none"


def _code(text: str) -> str:
    """Text as inline code, whatever backticks it holds."""
    fence = "`"
    while fence in text:
        fence += "`"
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def _cell(text: str) -> str:
    """Text in a table cell: it neither ends the cell nor becomes markup."""
    return "".join("\\" + c if c in "\\`*_{}[]<>()#+-.!|&~" else c for c in text)


def write_croissant(
    manifest: Mapping[str, Any], files: Sequence[Mapping[str, Any]], schemas: Mapping[str, pa.Schema]
) -> dict[str, Any]:
    """Return croissant.json (MLCommons Croissant 1.0). `schemas`: file name -> the Arrow schema of its rows."""
    name = f"{manifest['project']}-{manifest['version']}"
    described = {entry["path"]: entry for entry in files}
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"Accepted labels of {manifest['counts']['items']} items of the project {manifest['project']},"
        f" version {manifest['version']}, with the annotations behind them and the content.",
        "version": manifest["version"],
        "datePublished": manifest["created_at"],
        "url": f"urn:touchstone:{manifest['project']}:{manifest['version']}",
        "isLiveDataset": False,
        "rai:dataAnnotationPlatform": "Touchstone",
        "rai:dataAnnotationProtocol": f"Rule {to_canonical(manifest['method']['rule']).decode()}; label schema version"
        f" {manifest['schema_version']}; {manifest['counts']['annotations']} annotations.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": path,
                "name": path,
                "contentUrl": path,
                "contentSize": f"{described[path]['size']} B",
                "encodingFormat": "application/x-parquet",
                "sha256": described[path]["sha256"],
            }
            for path in schemas
        ],
        "recordSet": [_record_set(path, schema) for path, schema in schemas.items()],
    }


def _record_set(path: str, schema: pa.Schema) -> dict[str, Any]:
    name = path.partition(".")[0]
    fields: list[dict[str, Any]] = []
    for column in schema:
        is_list = pa.types.is_list(column.type)
        inner = column.type.value_type if is_list else column.type
        if pa.types.is_nested(inner):
            continue  # parts, spans, rankings: lists of something with parts of its own, which is not one column here
        described = {
            "@type": "cr:Field",
            "@id": f"{name}/{column.name}",
            "name": column.name,
            "dataType": _data_type(inner),
            "source": {"fileObject": {"@id": path}, "extract": {"column": column.name}},
        }
        if is_list:
            described["repeated"] = True
        if name != "labels" and column.name == "item_id":
            described["references"] = {"field": {"@id": "labels/item_id"}}
        fields.append(described)
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _data_type(arrow: pa.DataType) -> str:
    if pa.types.is_integer(arrow):
        return "sc:Integer"
    if pa.types.is_floating(arrow):
        return "sc:Float"
    if pa.types.is_boolean(arrow):
        return "sc:Boolean"
    return "sc:DateTime" if pa.types.is_timestamp(arrow) else "sc:Text"
