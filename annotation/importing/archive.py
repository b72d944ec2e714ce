"""Archives of images (.zip, .tar, .tar.gz, .tar.xz), taken out one file at a time under caps, never all at once.

An entry that could lead outside (an absolute path, `..`, a backslash, a link, a device), an encrypted one, or one over
a cap refuses the whole archive: nobody packs images that way by accident.
"""

from __future__ import annotations

import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, Literal

from django.utils.translation import gettext as _

from annotation.importing.decompression import Compression, ImportFileError, Limits, open_unpacked
from annotation.plain_text import find_line_fault, quote

ArchiveFormat = Literal["zip", "tar"]

_CHUNK = 256 * 1024
_ENDINGS: dict[str, tuple[ArchiveFormat, Compression | None]] = {
    ".zip": ("zip", None),
    ".tar": ("tar", None),
    ".tar.gz": ("tar", "gz"),
    ".tgz": ("tar", "gz"),
    ".tar.xz": ("tar", "xz"),
    ".txz": ("tar", "xz"),
}
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # what file managers leave behind


class ArchiveError(ImportFileError):
    """The archive is refused. Nothing of it was stored."""

    code = "invalid_archive"


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Caps. The ratio is of unpacked to packed bytes, of a file and of the whole, and counts from `ratio_after` on."""

    files: int = 100_000
    file_bytes: int = 25 * 1024**2
    total_bytes: int = 20 * 1024**3
    ratio: int = 200
    ratio_after: int = 8 * 1024**2
    depth: int = 10
    path_length: int = 200


DEFAULT_ARCHIVE_LIMITS = ArchiveLimits()


def detect_archive(file_name: str) -> tuple[ArchiveFormat, Compression | None] | None:
    """Tell the kind of archive by the file's name; None where it is none."""
    lower = file_name.lower()
    return next((found for ending, found in _ENDINGS.items() if lower.endswith(ending)), None)


def read_archive(
    path: Path,
    archive_format: ArchiveFormat,
    compression: Compression | None = None,
    limits: ArchiveLimits = DEFAULT_ARCHIVE_LIMITS,
) -> Iterator[tuple[str, Path]]:
    """Yield `(path inside, temporary file)` for each regular file, in the archive's order.

    The temporary file is the caller's until the next one is asked for, then it is gone. Folders and litter of file
    managers are passed over. What the files hold is not looked at. ArchiveError says why an archive is refused; files
    yielded before it must be discarded by the caller.
    """
    caps = _Caps(limits)
    with tempfile.TemporaryDirectory(prefix="touchstone-archive-") as folder:
        target = Path(folder) / "member"
        read = _read_zip(path, caps) if archive_format == "zip" else _read_tar(path, compression, caps)
        try:
            for name, stream, packed in read:
                _copy(stream, target, name, packed, caps)
                yield name, target
                target.unlink(missing_ok=True)
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, struct.error) as error:
            raise ArchiveError(_("The archive is damaged, or packed in a way that is not known here.")) from error


class _Caps:
    """Counts over one archive."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self.limits = limits
        self.total = 0
        self._seen: set[str] = set()

    def check_name(self, name: str) -> bool:
        """Say whether the entry is wanted; ArchiveError for a path that could lead elsewhere, or one too many."""
        fault = find_line_fault(name, self.limits.path_length)
        if fault:
            raise ArchiveError(_("The path %(name)s in the archive %(fault)s.") % {"name": quote(name), "fault": fault})
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or name[1:2] == ":":
            raise ArchiveError(_("The path %(name)s leads outside the archive.") % {"name": quote(name)})
        if len(path.parts) > self.limits.depth:
            raise ArchiveError(
                _("The path %(name)s is deeper than %(most)d folders.")
                % {"name": quote(name), "most": self.limits.depth}
            )
        if path.name in _LITTER or path.name.startswith("._") or "__MACOSX" in path.parts:
            return False
        if str(path) in self._seen:
            raise ArchiveError(_("The path %(name)s stands in the archive twice.") % {"name": quote(name)})
        self._seen.add(str(path))
        if len(self._seen) > self.limits.files:
            raise ArchiveError(_("The archive holds more than %(most)d files.") % {"most": self.limits.files})
        return True

    def check_size(self, name: str, size: int, packed: int | None) -> None:
        """Check one file's size so far, or as its header states it."""
        if size > self.limits.file_bytes:
            raise ArchiveError(
                _("%(name)s is larger than %(most)d MB.")
                % {"name": quote(name), "most": self.limits.file_bytes // 1024**2}
            )
        if packed is not None and size > max(self.limits.ratio_after, self.limits.ratio * packed):
            raise ArchiveError(_("%(name)s unpacks into far more than it is.") % {"name": quote(name)})
        if self.total + size > self.limits.total_bytes:
            raise ArchiveError(_("The archive unpacks into more than this server accepts."))


def _copy(stream: IO[bytes], target: Path, name: str, packed: int | None, caps: _Caps) -> None:
    size = 0
    with target.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)  # counted, not believed
            caps.check_size(name, size, packed)
            out.write(chunk)
    caps.total += size


def _read_zip(path: Path, caps: _Caps) -> Iterator[tuple[str, IO[bytes], int]]:
    with path.open("rb") as file:
        directory = _find_directory_size(file)
        if directory > caps.limits.files * (46 + 2 * caps.limits.path_length):
            raise ArchiveError(_("The archive holds more than %(most)d files.") % {"most": caps.limits.files})
        file_size = os.fstat(file.fileno()).st_size
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            stated = sum(entry.file_size for entry in entries)
            if stated > max(caps.limits.ratio_after, caps.limits.ratio * file_size):
                raise ArchiveError(_("The archive unpacks into far more than it is."))
            for entry in entries:
                # `orig_filename` is what stands in the file; `filename` is cut at a NUL byte.
                wanted = caps.check_name(entry.orig_filename)
                mode = entry.external_attr >> 16
                if entry.flag_bits & 0x1:
                    raise ArchiveError(_("%(name)s is encrypted.") % {"name": quote(entry.filename)})
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise ArchiveError(_("%(name)s is a link or a device.") % {"name": quote(entry.filename)})
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ArchiveError(
                        _("%(name)s is packed in a way that is not known here.") % {"name": quote(entry.filename)}
                    )
                if wanted and not entry.is_dir():
                    caps.check_size(entry.filename, entry.file_size, entry.compress_size)
                    with archive.open(entry) as stream:
                        yield str(PurePosixPath(entry.filename)), stream, entry.compress_size


def _find_directory_size(file: BinaryIO) -> int:
    """Return the stated size of a zip's directory, which `zipfile` reads into memory whole, before it does so."""
    size = file.seek(0, os.SEEK_END)
    begin = max(0, size - 65_557)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise ArchiveError(_("The file is not a zip archive."))
    directory = int(struct.unpack_from("<L", tail, at + 12)[0])
    locator = at - 20
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        file.seek(int(struct.unpack_from("<Q", tail, locator + 8)[0]) % 2**62)
        record = file.read(56)
        if record[:4] == b"PK\x06\x06" and len(record) == 56:
            directory = max(directory if directory < 2**32 - 1 else 0, int(struct.unpack_from("<Q", record, 40)[0]))
    file.seek(0)
    return directory


class _CappedTarInfo(tarfile.TarInfo):
    """Refuses long-name and extended headers that `tarfile` would read into memory whatever size they state."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Any:
        entry = super().frombuf(buf, encoding, errors)
        headers = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        names = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if entry.type in headers + names and not 0 <= entry.size <= 64 * 1024:
            raise ArchiveError(_("The archive has an oversized header."))
        return entry


def _read_tar(path: Path, compression: Compression | None, caps: _Caps) -> Iterator[tuple[str, IO[bytes], None]]:
    limits = Limits(total_bytes=caps.limits.total_bytes + 1024**3, ratio=caps.limits.ratio)
    with path.open("rb") as packed:
        plain = open_unpacked(packed, compression, limits)
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_CappedTarInfo) as archive:
            while (entry := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # a stream of a million entries must not pile up
                name = entry.name
                if name in (".", "./"):
                    continue
                wanted = caps.check_name(name)
                if entry.isdir():
                    continue
                if not entry.isreg() or entry.issparse():
                    raise ArchiveError(_("%(name)s is a link or a device.") % {"name": quote(name)})
                if wanted:
                    caps.check_size(name, entry.size, None)
                    stream = archive.extractfile(entry)
                    if stream is not None:
                        yield str(PurePosixPath(name)), stream, None
