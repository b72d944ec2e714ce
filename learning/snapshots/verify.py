#!/usr/bin/env python3
"""Check that the files of this snapshot are those that were published. Standard library only, any Python from 3.9.

    python verify.py [FOLDER] [--root HEX]

FOLDER is where this script lies unless another one is named. --root is the Merkle root as the platform shows it: with
it, files that were changed together with their manifest are found too.

Exit status: 0 every byte is right; 1 something is wrong (the file is named, and for labels.jsonl the row); 2 it could
not be checked (no such folder, no manifest.json in it).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

CHUNK = 1 << 20
MAX_NAMED_ROWS = 10
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class CannotCheckError(Exception):
    """There is nothing to check."""


def read_manifest(data: bytes) -> dict[str, Any]:
    """Return the manifest that these bytes are. ValueError where a byte of it is wrong, or a path leaves the folder."""
    try:
        manifest: dict[str, Any] = json.loads(data.decode("utf-8"))
        rest = {key: value for key, value in manifest.items() if key != "digest"}
        document = json.dumps(manifest, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        canonical = json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        is_whole = document.encode("utf-8") == data
        is_whole = is_whole and manifest.get("digest") == hashlib.sha256(canonical.encode("utf-8")).hexdigest()
        files = [(entry["path"], entry["size"], entry["sha256"]) for entry in manifest["files"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("it is not a manifest, or was changed") from None
    for path, _size, _sha256 in files:
        if not isinstance(path, str) or not NAME.fullmatch(path) or path == "manifest.json":
            raise ValueError(f"it names a file outside the folder: {path!r}")
    if not is_whole:
        raise ValueError("it was changed: its own digest does not fit")
    return manifest


def check_file(path: str, size: int, sha256: str) -> str | None:
    """Return what is wrong with one file, or None."""
    digest, found = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            for chunk in iter(lambda: file.read(CHUNK), b""):
                digest.update(chunk)
                found += len(chunk)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if found != size:
        return f"has {found} bytes, {size} expected"
    if digest.hexdigest() != sha256:
        return "has other bytes than were published"
    return None


def read_lines(path: str) -> Iterator[bytes]:
    """Yield the lines of a file without their newline."""
    with open(path, "rb") as file:
        for line in file:
            yield line[:-1] if line.endswith(b"\n") else line


def compute_root(entries: Iterable[bytes]) -> tuple[str, int]:
    """Return the Merkle root (RFC 6962, SHA-256, hex) over the entries, and how many there are."""
    peaks: list[tuple[int, bytes]] = []
    count = 0
    for entry in entries:
        node, height = hashlib.sha256(b"\x00" + entry).digest(), 0
        while peaks and peaks[-1][0] == height:
            node, height = hashlib.sha256(b"\x01" + peaks.pop()[1] + node).digest(), height + 1
        peaks.append((height, node))
        count += 1
    root = peaks.pop()[1] if peaks else hashlib.sha256(b"").digest()
    while peaks:
        root = hashlib.sha256(b"\x01" + peaks.pop()[1] + root).digest()
    return root.hex(), count


def find_wrong_rows(folder: str) -> list[str]:
    """Return a sentence for each row of labels.jsonl (counted from 1) that is not the row that was published."""
    rows, leaves = read_lines(os.path.join(folder, "labels.jsonl")), read_lines(os.path.join(folder, "labels.leaves"))
    wrong: list[str] = []
    number = 0
    while len(wrong) < MAX_NAMED_ROWS:
        row, leaf = next(rows, None), next(leaves, None)
        number += 1
        if row is None and leaf is None:
            break
        if leaf is None:
            wrong.append(f"row {number} was added")
        elif row is None:
            wrong.append(f"row {number} is missing")
        elif hashlib.sha256(b"\x00" + row).hexdigest().encode() != leaf:
            wrong.append(f"row {number} is not the one that was published")
    return wrong


def find_faults(folder: str, root: str | None = None) -> list[tuple[str, str]]:
    """Return (file name, what is wrong) for everything that is wrong in the folder; [] where all is as published."""
    try:
        with open(os.path.join(folder, "manifest.json"), "rb") as file:
            data = file.read()
    except OSError as error:
        raise CannotCheckError(f"manifest.json cannot be read: {error.strerror or error}") from None
    try:
        manifest = read_manifest(data)
    except ValueError as error:
        return [("manifest.json", str(error))]
    faults = []
    for entry in manifest["files"]:
        fault = check_file(os.path.join(folder, entry["path"]), entry["size"], entry["sha256"])
        if fault:
            faults.append((entry["path"], fault))
    broken = {name for name, _fault in faults}
    if "labels.jsonl" in broken and "labels.leaves" not in broken:
        if os.path.isfile(os.path.join(folder, "labels.jsonl")):
            faults += [("labels.jsonl", fault) for fault in find_wrong_rows(folder)]
    elif "labels.jsonl" not in broken:
        found, count = compute_root(read_lines(os.path.join(folder, "labels.jsonl")))
        if found != manifest.get("merkle_root"):
            faults.append(("manifest.json", f"its Merkle root is not that of the {count} rows of labels.jsonl"))
        if "labels.leaves" not in broken:
            faults += [("labels.leaves", "does not fit labels.jsonl: " + fault) for fault in find_wrong_rows(folder)]
    if root is not None and manifest.get("merkle_root") != root.lower():
        faults.append(("manifest.json", "its Merkle root is not the one that was given"))
    return faults


def main(argv: Sequence[str]) -> int:
    """Check a folder, say what was found, and return the exit status."""
    arguments, root = list(argv), None
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    if "--root" in arguments:
        at = arguments.index("--root")
        if at + 1 >= len(arguments):
            print("verify: --root needs the root, 64 hex digits", file=sys.stderr)
            return 2
        root = arguments[at + 1]
        del arguments[at : at + 2]
    if len(arguments) > 1:
        print("verify: one folder at most", file=sys.stderr)
        return 2
    folder = arguments[0] if arguments else os.path.dirname(os.path.abspath(__file__))
    try:
        faults = find_faults(folder, root)
    except CannotCheckError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    for name, fault in faults:
        print(f"{name}: {fault}")
    if not faults:
        print("All files are as published.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
