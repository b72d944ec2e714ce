"""One archive with the database and the files beside it, and the way back.

The database is dumped first, in one snapshot of it; the files follow. Media, models and snapshots are written once,
under names that their content decides, before a row speaks of them: so every file that the dump speaks of is there,
and at most some are surplus. The archive (tar) holds `backup.json`, `database.dump` (PostgreSQL's custom format) and
the folders. Secrets are not in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath

from config.embedded import EmbeddedError, open_servers
from config.embedded.binaries import list_postgres_folders, read_major

FORMAT = 1
FOLDERS = ("media", "snapshots", "models")


class BackupError(EmbeddedError):
    """The archive cannot be written or brought back; the message says why and what to do."""


def run_backup(home: Path, file: Path) -> int:
    """Write the archive `file` (mode 0600); it appears under its name only when whole. Returns the exit status 0.

    Raises BackupError where the file is there already or a part fails.
    """
    if file.exists():
        raise BackupError(f"{file} is there already. Choose another name.")
    partial = file.with_name(file.name + ".part")
    with open_servers(home), tempfile.TemporaryDirectory(prefix="touchstone-backup-") as folder:
        dump = Path(folder) / "database.dump"
        run_program("pg_dump", ["--format=custom", "--no-owner", "--no-privileges", f"--file={dump}"])
        about = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(), "folders": list(FOLDERS)}
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
                n_files = write_archive(target, home, dump, about)
                target.flush()
                os.fsync(target.fileno())
            partial.rename(file)
        finally:
            partial.unlink(missing_ok=True)
    print(f"{file}: the database and {n_files} files, {file.stat().st_size:,} bytes")
    return 0


def write_archive(target: object, home: Path, dump: Path, about: dict[str, object]) -> int:
    """Write description, dump and folders into the open file `target`; return the number of files from the folders."""
    n_files = 0
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        text = json.dumps(about, indent=1).encode()
        entry = tarfile.TarInfo("backup.json")
        entry.size, entry.mode = len(text), 0o600
        archive.addfile(entry, BytesIO(text))
        archive.add(dump, "database.dump")
        for folder in FOLDERS:
            for path in sorted((home / folder).rglob("*")):
                if path.is_file() and not path.is_symlink():
                    with contextlib.suppress(FileNotFoundError):  # erased since it was listed
                        archive.add(path, str(path.relative_to(home)))
                        n_files += 1
    return n_files


def run_restore(home: Path, file: Path, *, is_replacing: bool) -> int:
    """Bring back what `run_backup` wrote into an empty installation, or, with `is_replacing`, over what is there.

    Everything is unpacked and looked at before anything is changed. Stop web, worker and beat first. Returns 0; raises
    BackupError where the file is no archive of ours, or the installation is not empty.
    """
    if not file.is_file():
        raise BackupError(f"{file} is not there.")
    home.mkdir(parents=True, exist_ok=True)
    with unpack(file, home) as folder, open_servers(home):
        is_empty = not has_tables() and not any(any((home / name).glob("*")) for name in FOLDERS)
        if not is_empty and not is_replacing:
            raise BackupError("This installation holds data. Use an empty TOUCHSTONE_HOME, or say --replace.")
        empty_database()
        run_program(
            "pg_restore", ["--single-transaction", "--no-owner", "--no-privileges", str(folder / "database.dump")]
        )
        for name in FOLDERS:
            shutil.rmtree(home / name, ignore_errors=True)
            if (folder / name).is_dir():
                (folder / name).rename(home / name)
            (home / name).mkdir(mode=0o700, exist_ok=True)
    print(f"Restored from {file}.")
    return 0


@contextlib.contextmanager
def unpack(file: Path, home: Path) -> Iterator[Path]:
    """Give a folder inside `home` (so that it can be renamed into place) with the archive's contents."""
    with tempfile.TemporaryDirectory(prefix="restore-", dir=home) as name:
        folder = Path(name)
        try:
            with tarfile.open(file) as archive:
                for member in archive:
                    extract_file(archive, member, folder)
            about = json.loads((folder / "backup.json").read_text())
        except (tarfile.TarError, OSError, ValueError) as error:
            raise BackupError(f"{file} is not a whole backup of Touchstone: {error}") from None
        if about.get("format") != FORMAT or not (folder / "database.dump").is_file():
            raise BackupError(f"{file} was written by another version of Touchstone; restore it with that one.")
        yield folder


def extract_file(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file of the archive under `folder`, with mode 0600. Raises ValueError for whatever backup never wrote.

    By hand, because `extractall(filter="data")` came only with Python 3.11.4: an archive may come from anywhere, and
    only plain files under the known names are taken.
    """
    parts = PurePosixPath(member.name).parts
    is_known = member.name in {"backup.json", "database.dump"} or (len(parts) > 1 and parts[0] in FOLDERS)
    source = archive.extractfile(member) if member.isreg() else None
    if source is None or not is_known or ".." in parts:
        raise ValueError(f"{member.name!r} does not belong in it")
    target = folder.joinpath(*parts)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        shutil.copyfileobj(source, file)


def set_up_django() -> None:
    """Make Django's database connection usable."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()


def has_tables() -> bool:
    """Say whether the database holds any table."""
    set_up_django()
    from django.db import connection

    return bool(connection.introspection.table_names())


def empty_database() -> None:
    """Drop everything in the database's schema `public` and leave it empty."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    connection.close()


def run_program(name: str, arguments: list[str]) -> None:
    """Run one of PostgreSQL's programs against the project's database. Raises BackupError with what it printed."""
    set_up_django()
    from django.db import connection

    parameters = connection.get_connection_params()
    with connection.cursor() as cursor:
        wanted = cursor.connection.info.server_version // 10_000
    connection.close()
    variables = {
        "PGHOST": parameters.get("host"),
        "PGPORT": parameters.get("port"),
        "PGUSER": parameters.get("user"),
        "PGPASSWORD": parameters.get("password"),
        "PGDATABASE": parameters.get("dbname"),
        "PGSSLMODE": parameters.get("sslmode"),
        "PGSSLROOTCERT": parameters.get("sslrootcert"),
    }
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    environment |= {key: str(value) for key, value in variables.items() if value}
    if name == "pg_restore":
        arguments = ["--dbname", str(parameters["dbname"]), *arguments]
    command = [find_program(name, wanted), *arguments]
    answer = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if answer.returncode != 0:
        raise BackupError(f"{name} failed:\n{answer.stderr.strip()}")
    print(answer.stderr, end="", file=sys.stderr)


def find_program(name: str, major: int) -> str:
    """Return the path of PostgreSQL's program `name`, of version `major` or later. Raises BackupError without one."""
    for folder in list_postgres_folders():
        found = read_major(folder)
        if found is not None and found >= major and os.access(folder / name, os.X_OK):
            return str(folder / name)
    raise BackupError(f"No {name} of PostgreSQL {major} or later was found. Install that version's client programs.")
