"""The first thing that runs in every child: tie its life to its parent's, become who it must be, then exec the program.

Run as a script (`python -I -S child.py --parent PID --signal N [--namespace | --user NAME] -- PROGRAM ...`) rather than
as a `preexec_fn`: that runs Python between fork and exec of a process that has threads, which can hang for ever.
Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
UNPRIVILEGED_ID = 65534

# Exit statuses that the parent tells apart from the program's own.
EXIT_ORPHANED = 121
EXIT_NAMESPACE_REFUSED = 122


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send signal `number` to this process when its parent ends. Does nothing outside Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def enter_user_namespace() -> None:
    """Show this process to itself as an unprivileged user, while the kernel still counts it as root.

    PostgreSQL refuses to run as root. In a user namespace that maps the outside 0 to an inside 65534 it sees an
    ordinary user, and its files stay root's: no system user, no chown, no chmod. Raises OSError where it is refused.
    """
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    for name, text in [
        ("setgroups", "deny"),
        ("uid_map", f"{UNPRIVILEGED_ID} {uid} 1"),
        ("gid_map", f"{UNPRIVILEGED_ID} {gid} 1"),
    ]:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def become_user(name: str) -> None:
    """Give up root for good and become the user called `name`."""
    import pwd

    entry = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main(arguments: list[str]) -> None:
    """Prepare this process as `arguments` say and replace it by the program after `--`."""
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    values = dict(zip(options[::2], options[1::2], strict=True))
    if values.get("--as") == "namespace":
        try:
            enter_user_namespace()
        except OSError as error:
            print(f"user namespaces are refused here: {error}", file=sys.stderr)
            sys.exit(EXIT_NAMESPACE_REFUSED)
    elif "--as" in values:
        become_user(values["--as"])
    # After the change of identity: that clears the death signal.
    die_with_parent(int(values["--signal"]))
    if os.getppid() != int(values["--parent"]):
        sys.exit(EXIT_ORPHANED)  # the parent ended before the kernel knew that we care
    os.execvp(command[0], command)  # noqa: S606 - the point of this module


if __name__ == "__main__":
    main(sys.argv[1:])
