"""The documents under test: what they name is there, what is there they name, and their examples run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands
from django.urls import get_resolver, resolve

from annotation.access import RIGHTS
from annotation.models import Member
from annotation.settings import _PARSERS, LEARNING_DEFAULTS
from config import settings as settings_module
from config.cli import make_parser
from config.home import ROOT
from tests.installation import Installation, make_environment

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
API = (ROOT / "docs" / "api.md").read_text()
IMPORT = (ROOT / "docs" / "import.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
OURS = ("annotation", "reviewers", "learning", "config")
# What a placeholder of the documents may stand for in an address.
EXAMPLES = {"SLUG": "forum", "NAME": "alice", "ID": "1", "VERSION": "latest", "SHA256": "0" * 64}


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, title
    return found[1]


def fenced(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every table, without the line below the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not set(line) <= set("|-: ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def first_cells(text: str) -> set[str]:
    """All that stands in backticks in the first column of a text's tables."""
    return {name for row in rows(text) for name in re.findall(r"`([^`]+)`", row[0])}


def test_every_variable_of_the_settings_is_explained() -> None:
    named = re.findall(r"^\| ([A-Z_, ]+) \|", settings_module.__doc__ or "", re.M)
    variables = {name for cell in named for name in cell.split(", ")}

    assert len(variables) >= 12
    assert variables == first_cells(section(OPERATING, "Variables"))


def test_every_variable_that_the_settings_read_is_in_their_table() -> None:
    source = (ROOT / "config" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))

    assert read <= first_cells(section(OPERATING, "Variables"))


def test_every_command_is_explained() -> None:
    actions = make_parser()._actions
    commands = next(set(action.choices) for action in actions if isinstance(action.choices, dict))
    ours = {name for name, app in get_commands().items() if app in OURS}
    explained = section(OPERATING, "Commands")

    assert commands == set(re.findall(r"^\| `touchstone ([\w-]+)", explained, re.M))
    assert ours | {"migrate"} == set(re.findall(r"^\| `manage\.py (\w+)", explained, re.M))


def test_every_setting_is_explained_and_no_other() -> None:
    assert set(_PARSERS) | set(LEARNING_DEFAULTS) == first_cells(section(API, "Settings"))


def test_rights_are_those_of_the_code() -> None:
    roles = (Member.Role.ANNOTATOR, Member.Role.REVIEWER, Member.Role.ENGINEER)
    table = rows(section(API, "Rights"))[1:]
    told = {row[0].strip("`"): {role for role, cell in zip(roles, row[1:4], strict=True) if cell} for row in table}

    assert told == {right: set(allowed) for right, allowed in RIGHTS.items()}


def told_routes() -> list[tuple[str, str]]:
    """Route and method, as the table of routes has them."""
    table = rows(section(API, "Routes"))[1:]
    return [
        (row[0].strip("`"), method)
        for row in table
        for method in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE)\b", row[1])
    ]


def fill(route: str) -> str:
    """An address that fits a route."""
    return "/api/v1/" + "/".join(EXAMPLES.get(part, part) for part in route.split("/"))


@pytest.mark.parametrize(("route", "method"), told_routes())
def test_every_route_that_is_told_exists(route: str, method: str) -> None:
    view: Any = resolve(fill(route)).func

    assert hasattr(view.view_class, method.lower())


def test_every_route_that_exists_is_told() -> None:
    patterns = {name for name in get_resolver().reverse_dict if isinstance(name, str) and name.startswith("api-")}
    told = {resolve(fill(route)).url_name for route, _method in told_routes()}

    assert patterns == told


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()) if "://" not in link]
    targets = [(link.partition("#")[0], link.partition("#")[2]) for link in links]
    files = [(document.parent / name if name else document, anchor) for name, anchor in targets]

    assert [str(path) for path, _anchor in files if not path.is_file()] == []
    assert [(path.name, anchor) for path, anchor in files if anchor and anchor not in anchors(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_json_is_json(document: Path) -> None:
    assert all(json.loads(block) for block in fenced(document.read_text(), "json"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    named = set(
        re.findall(r"`((?:tests|annotation|reviewers|learning|config|benchmarks)/[\w/.]+)`", document.read_text())
    )

    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.fixture(scope="module")
def curl_path() -> str:
    """The path of curl; the test is skipped where there is none."""
    found = shutil.which("curl")
    if found is None:
        pytest.skip("no curl found: install it (Debian: apt install curl)")
    return found


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An empty installation that runs."""
    running = Installation(tmp_path / "home")
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.process.terminate()
        running.process.wait(20)
        running.end()


@pytest.mark.embedded
@pytest.mark.slow
def test_the_tour_runs_as_it_stands(installation: Installation, curl_path: str) -> None:
    """All commands of the tour, then those of the imports, in one shell. An answer is an error only where told so."""
    commands = "\n".join(["set -eu", *fenced(API, "sh"), *fenced(IMPORT, "sh")])
    assert commands.count("127.0.0.1:8000") == 1

    done = subprocess.run(
        ["bash", "-c", commands.replace("127.0.0.1:8000", f"127.0.0.1:{installation.port}")],
        cwd=ROOT,
        env=make_environment(installation.home, installation.port),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )

    told = re.findall(r'"code": ?"(\w+)"', done.stdout)
    assert (done.returncode, told) == (0, ["key_reused", "invalid_answers"]), done.stdout + done.stderr
    assert "every byte is as published" in done.stdout
    assert [json.loads(line)["state"] for line in done.stdout.splitlines() if '"kind":"import"' in line] == [
        "done", "failed", "done", "done", "done", "done",
    ]  # fmt: skip
