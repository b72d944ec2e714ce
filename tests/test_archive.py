"""Archives of images: taken out one by one, and refused where they are hostile."""

from __future__ import annotations

import io
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from annotation.importing.archive import ArchiveError, ArchiveLimits, detect_archive, read_archive
from annotation.importing.decompression import ImportFileError

FILES = {"cats/1.png": b"one", "cats/2.png": b"two" * 100_000, "ü 🙂.png": b""}


def make_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def make_special_tar(path: Path, kind: bytes, target: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("entry.png")
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    return path


def make_zip_symlink(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("link.png")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return path


def make_encrypted_zip(path: Path) -> Path:
    data = bytearray(make_zip(path, {"a.png": b"secret"}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    return path


def read(path: Path, limits: ArchiveLimits | None = None) -> dict[str, bytes]:
    found = detect_archive(path.name)
    assert found is not None
    return {name: file.read_bytes() for name, file in read_archive(path, *found, limits or ArchiveLimits())}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.zip", make_zip),
        ("a.tar", make_tar),
        ("a.tar.gz", lambda path, files: make_tar(path, files, "w:gz")),
        ("a.TGZ", lambda path, files: make_tar(path, files, "w:gz")),
        ("a.tar.xz", lambda path, files: make_tar(path, files, "w:xz")),
    ],
)
def test_files_come_out_whole_with_their_paths(
    tmp_path: Path, name: str, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    assert read(make(tmp_path / name, FILES)) == FILES


def test_folders_and_litter_are_passed_over(tmp_path: Path) -> None:
    litter = dict.fromkeys(["a/", "__MACOSX/._1.png", "a/.DS_Store", "a/._1.png", "Thumbs.db"], b"")
    assert read(make_zip(tmp_path / "a.zip", litter | {"./a/1.png": b"x"})) == {"a/1.png": b"x"}


def test_temporary_file_is_gone_once_the_next_is_asked_for(tmp_path: Path) -> None:
    members = read_archive(make_zip(tmp_path / "a.zip", FILES), "zip")
    _name, first = next(members)
    assert first.read_bytes() == b"one"
    members.close()  # type: ignore[attr-defined]
    assert not first.exists()


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/../../b", "..\\..\\b", "C:/windows/b", "a\nb", "a/" * 10 + "b", "x" * 201],
)
def test_path_that_could_lead_elsewhere_refuses_the_archive(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path], name: str
) -> None:
    path = make(tmp_path / {make_zip: "a.zip", make_tar: "a.tar"}[make], {"ok.png": b"1", name: b"2"})
    with pytest.raises(ArchiveError):
        read(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "ok.png"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_tar_with_links_or_devices_is_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    with pytest.raises(ArchiveError, match="link or a device"):
        read(make_special_tar(tmp_path / "a.tar", kind, target))


def test_zip_with_links_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="link or a device"):
        read(make_zip_symlink(tmp_path / "a.zip"))


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="encrypted"):
        read(make_encrypted_zip(tmp_path / "a.zip"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_path_that_stands_twice_refuses_the_archive(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    path = make(tmp_path / {make_zip: "a.zip", make_tar: "a.tar"}[make], {"a.png": b"1", "./a.png": b"2"})
    with pytest.raises(ArchiveError, match="twice"):
        read(path)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ArchiveLimits(files=2), "more than 2 files"),
        (ArchiveLimits(file_bytes=1000), "larger than"),
        (ArchiveLimits(total_bytes=1000), "more than this server accepts"),
        (ArchiveLimits(ratio=5, ratio_after=1000), "far more than it is"),
    ],
)
def test_caps_refuse_the_archive(tmp_path: Path, limits: ArchiveLimits, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        read(make_zip(tmp_path / "a.zip", FILES), limits)


@pytest.mark.parametrize(
    "limits", [ArchiveLimits(files=2), ArchiveLimits(file_bytes=1000), ArchiveLimits(total_bytes=9)]
)
def test_caps_refuse_the_tar(tmp_path: Path, limits: ArchiveLimits) -> None:
    with pytest.raises(ArchiveError):
        read(make_tar(tmp_path / "a.tar", FILES), limits)


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="far more than it is"):
        read(make_zip(tmp_path / "a.zip", {"a.png": b"\0" * 20_000_000}))


def test_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.png": b"x" * 100_000})
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 10)
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="damaged"):
        read(path)


def test_tar_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.XHDTYPE, 50 * 1024**2
    path = tmp_path / "a.tar"
    path.write_bytes(header.tobuf(tarfile.USTAR_FORMAT) + b"\0" * header.size)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="oversized header"):
            read(path)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024**2


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("content", [b"", b"rubbish" * 200])
def test_file_that_is_no_archive_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImportFileError):
        read(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_archive_that_was_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    makers: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {"a.zip": make_zip, "a.tar": make_tar}
    path = makers[name](tmp_path / name, FILES)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 2])
    with pytest.raises(ArchiveError):
        read(path)


def test_other_files_are_no_archives() -> None:
    assert detect_archive("items.jsonl.gz") is None
