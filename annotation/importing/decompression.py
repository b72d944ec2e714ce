"""Reading .gz and .xz in bounded memory, and stopping a file that unpacks into far more than it is."""

from __future__ import annotations

import io
import lzma
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Literal

from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError

Compression = Literal["gz", "xz"]

_CHUNK = 64 * 1024
_MAGIC = {"gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\x00"}


class ImportFileError(TouchstoneError):
    """The file cannot be read. Nothing of it was stored."""

    code = "invalid_file"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may unpack to, in bytes. The ratio counts only once `ratio_after` bytes have come out.

    Real text packs 3 to 50 times; zlib cannot pack more than 1,032 times, xz about 7,000 times.
    """

    total_bytes: int = 16 * 1024**3
    ratio: int = 400
    ratio_after: int = 64 * 1024**2
    xz_memory: int = 128 * 1024**2


DEFAULT_LIMITS = Limits()


class UnpackingReader(io.RawIOBase):
    """A raw stream of the unpacked bytes of `source`; several members in a row read as one, as gzip and xz do.

    ImportFileError where the file is damaged, ends early, or is over `limits`.
    """

    def __init__(self, source: BinaryIO, compression: Compression, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()
        self._source = source
        self._compression = compression
        self._limits = limits
        self._packed = 0
        self._unpacked = 0
        self._pending = b""
        self._member: _Gz | _Xz | None = None
        self._is_started = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = len(buffer)
        while True:
            try:
                data = self._step(wanted)
            except (zlib.error, lzma.LZMAError) as error:
                raise ImportFileError(_("The file is damaged: it cannot be unpacked.")) from error
            if data is None:
                return 0
            if data:
                self._count(len(data))
                buffer[: len(data)] = data
                return len(data)

    def _step(self, wanted: int) -> bytes | None:
        """Return some unpacked bytes, b"" where more has to be read first, None at the end."""
        if self._member is None:
            if not self._find_member():
                return None
            self._member = _Gz() if self._compression == "gz" else _Xz(self._limits.xz_memory)
        if self._member.needs_input and not self._pending:
            self._pending = self._read_packed()
            if not self._pending:
                raise ImportFileError(_("The file ends early: it was cut off while it was written or sent."))
        data = self._member.unpack(self._pending, wanted)
        self._pending = b""
        if self._member.eof:
            self._pending = self._member.unused
            self._member = None
        return data

    def _find_member(self) -> bool:
        magic = _MAGIC[self._compression]
        while True:
            if self._is_started:
                self._pending = self._pending.lstrip(b"\0")  # both formats may be padded between and after members
            if len(self._pending) >= len(magic):
                break
            more = self._read_packed()
            if not more:
                break
            self._pending += more
        if not self._pending and self._is_started:
            return False
        if not self._pending.startswith(magic):
            raise ImportFileError(
                _("The file is not %(compression)s data, although its name or type says so.")
                % {"compression": self._compression}
            )
        self._is_started = True
        return True

    def _read_packed(self) -> bytes:
        data = self._source.read(_CHUNK)
        self._packed += len(data)
        return data

    def _count(self, n_bytes: int) -> None:
        self._unpacked += n_bytes
        limits = self._limits
        too_dense = self._unpacked > limits.ratio_after and self._unpacked > limits.ratio * self._packed
        if too_dense or self._unpacked > limits.total_bytes:
            raise ImportFileError(
                _("The file unpacks into far more than it is (over %(megabytes)d MB). Send it in smaller, plain parts.")
                % {"megabytes": self._unpacked // 1024**2}
            )


class _Gz:
    """One gzip member."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused(self) -> bytes:
        return self._object.unused_data

    def unpack(self, data: bytes, at_most: int) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, at_most)


class _Xz:
    """One xz stream."""

    def __init__(self, memory: int) -> None:
        self._object = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=memory)

    @property
    def needs_input(self) -> bool:
        return self._object.needs_input

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused(self) -> bytes:
        return self._object.unused_data

    def unpack(self, data: bytes, at_most: int) -> bytes:
        return self._object.decompress(data, at_most)


def open_unpacked(source: BinaryIO, compression: Compression | None, limits: Limits = DEFAULT_LIMITS) -> BinaryIO:
    """Return a buffered stream of the plain bytes of `source`; `source` itself where it is not compressed."""
    if compression is None:
        return source
    return io.BufferedReader(UnpackingReader(source, compression, limits), buffer_size=_CHUNK)
