"""Where one installation keeps its files: the folder `TOUCHSTONE_HOME` and what lies under it.

Standard library only, so that the supervisor and `touchstone pull` can import it without Django.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# A socket's address holds 107 bytes; Postgres appends "/.s.PGSQL.5432" and writes to a longer name while it starts.
MAX_SOCKET_FOLDER = 80


class HomeError(Exception):
    """The home folder cannot be used; the message says why and what to do."""


def get_home() -> Path:
    """Return the home folder as an absolute path (`TOUCHSTONE_HOME`, else `var` beside the code); it may not exist."""
    return Path(os.environ.get("TOUCHSTONE_HOME") or ROOT / "var").expanduser().absolute()


def fix_home() -> Path:
    """Return the home folder, and make `TOUCHSTONE_HOME` absolute for children that run in another folder."""
    home = get_home()
    os.environ["TOUCHSTONE_HOME"] = str(home)
    return home


def get_socket_folder(home: Path) -> Path:
    """Return the folder for the Unix sockets of `home`; creates nothing.

    `home/run` where that is short and plain enough for a socket address, else a folder in the temporary place whose
    name is a stable hash of `home`, so that every process that opens the same home finds the same sockets.
    """
    folder = home / "run"
    if len(os.fsencode(folder)) <= MAX_SOCKET_FOLDER and re.fullmatch(r"[\w./+-]+", str(folder), re.ASCII):
        return folder
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    temporary = "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()  # noqa: S108 - make_private_folder checks it
    return Path(temporary) / f"touchstone-{os.getuid()}-{digest}"


def make_private_folder(folder: Path, *, also_owned_by: int | None = None) -> Path:
    """Create `folder` with mode 0700 and return it; root also takes one that belongs to user id `also_owned_by`.

    Raises HomeError where it exists but is a link, somebody else's, or open to others: another user of the machine
    could have put it there to listen in.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        status = folder.lstat()
        owners = {os.getuid(), also_owned_by if os.getuid() == 0 else os.getuid()}
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners:
            raise HomeError(
                f"{folder} is not a folder of this user. Remove it, or choose another TOUCHSTONE_HOME."
            ) from None
        if status.st_mode & 0o077:
            folder.chmod(0o700)
    return folder


def get_secret_key(home: Path) -> str:
    """Return the signing key kept in `home/secrets/secret_key` (mode 0600), making it on first use.

    Two processes that start together agree on one key: the file appears whole, under its name, once.
    """
    folder = make_private_folder(home / "secrets")
    path = folder / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(64) + "\n")
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
    return path.read_text().strip()
