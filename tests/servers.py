"""A pytest plugin, loaded before everything else: throw-away PostgreSQL and Valkey in a temporary home.

pytest-django reads the settings before any conftest, and the settings name the servers, so they must be named by then.
`TEST_DATABASE_URL` puts an outside PostgreSQL in the embedded one's place.

Under pytest-xdist each process has servers of its own; of outside ones as many are named, with spaces between. A
database each would not do: a transaction that is open anywhere in a PostgreSQL holds back the events of all its
databases.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from config.embedded import Servers
from config.home import get_socket_folder

_stack = contextlib.ExitStack()

# Set on the machine for the installation; a test that needs one sets it itself.
FOREIGN_VARIABLES = (
    "DATABASE_URL",
    "BROKER_URL",
    "SECRET_KEY",
    "HOST",
    "PORT",
    "ALLOWED_HOSTS",
    "TOUCHSTONE_URL",
    "TOUCHSTONE_TOKEN",
)
# As the worker of an installation has it, and before anything imports numpy: threads of arithmetic wait for each other.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start the servers, unless pytest only prints something or leaves the tests to others, which come here too."""
    for name in FOREIGN_VARIABLES:
        os.environ.pop(name, None)
    home = Path(tempfile.mkdtemp(prefix="ts-test-"))
    _stack.callback(shutil.rmtree, home, ignore_errors=True)
    _stack.callback(shutil.rmtree, get_socket_folder(home), ignore_errors=True)
    os.environ["TOUCHSTONE_HOME"] = str(home)
    # Playwright's synchronous interface runs an event loop in this thread, and Django then refuses to ask the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    os.environ |= ONE_THREAD
    options = early_config.known_args_namespace
    n_processes = getattr(options, "numprocesses", None)
    outside = os.environ.get("TEST_DATABASE_URL", "").split()
    if outside and len(outside) != (n_processes or 1):
        raise pytest.UsageError(
            f"TEST_DATABASE_URL names {len(outside)}, and each process needs a server of its own: -n {len(outside)}."
        )
    if options.help or options.version or (n_processes and "PYTEST_XDIST_WORKER" not in os.environ):
        return
    if outside:
        os.environ["DATABASE_URL"] = outside[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))]
    servers = Servers(home, with_postgres=not outside, is_throwaway=True)
    _stack.callback(servers.close)
    servers.open()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Stop the servers and remove their home."""
    _stack.close()
