"""Files that outlive a power cut."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def sync_path(path: Path) -> None:
    """Bring a file, or a folder's list of names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, of mode 0600, that is there whole, and durable, once this returns; its folder is made (0700)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=".incoming-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(path)
        sync_path(path.parent)
    finally:
        Path(name).unlink(missing_ok=True)
