"""The shape of the house (DESIGN section 2), read from the code itself; each rule is also shown to catch a break."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
APPS = ["annotation", "reviewers", "learning", "config"]  # imports point to the left only
WRITERS = re.compile(r"^(annotation|reviewers|learning)/(actions(/.+)?|queue)\.py$")
WRITING_CALLS = {
    "save",
    "bulk_create",
    "bulk_update",
    "get_or_create",
    "update_or_create",
    "create",
    "update",
    "delete",
}
WRITING_SQL = re.compile(
    r"^\s*(insert\s+into|update\s+\w+\s+set|delete\s+from|copy\s+\w+.*from|truncate)\b", re.IGNORECASE
)
DRAWERS = {
    "utils.py",
    "util.py",
    "common.py",
    "core.py",
    "helpers.py",
    "misc.py",
    "services.py",
    "managers.py",
    "signals.py",
}


def modules() -> list[Path]:
    found = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]
    assert len(found) > 30
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(source: str) -> Iterator[str]:
    """Every module that a source imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def upward_imports(app: str, source: str) -> list[str]:
    """Imports of apps that stand above `app`."""
    above = set(APPS[APPS.index(app) + 1 :])
    return [name for name in imports_of(source) if name.split(".")[0] in above]


def _is_queryset(node: ast.expr) -> bool:
    """Whether a call's receiver is (as far as the text tells) a manager, a queryset or a model instance."""
    text = ast.unparse(node)
    return (
        ".objects" in text
        or re.search(r"\.(filter|exclude|all|select_for_update|_default_manager)\b", text) is not None
    )


def row_writes(source: str) -> list[str]:
    """Calls and SQL that change rows: `Model.objects...create/update/delete`, `x.save()`, `insert into ...`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITING_CALLS:
            direct = node.func.attr in {"bulk_create", "bulk_update", "get_or_create", "update_or_create"}
            saves = node.func.attr == "save" and not node.args and isinstance(node.func.value, ast.Name)
            if direct or saves or _is_queryset(node.func.value):
                found.append(ast.unparse(node.func))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and WRITING_SQL.match(node.value):
            found.append(node.value.strip().splitlines()[0])
    return found


@pytest.mark.parametrize("app", APPS)
def test_imports_point_one_way(app: str) -> None:
    broken = {
        name_of(p): up
        for p in modules()
        if p.parts[len(ROOT.parts)] == app and (up := upward_imports(app, p.read_text("utf-8")))
    }
    assert broken == {}


@pytest.mark.parametrize(
    ("app", "source"),
    [
        ("annotation", "from reviewers.models import Resolution"),
        ("annotation", "def f():\n    import learning.actions"),
        ("reviewers", "from learning import reports"),
        ("learning", "import config.celery"),
    ],
)
def test_an_import_that_points_the_wrong_way_is_seen(app: str, source: str) -> None:
    assert upward_imports(app, source)


def algorithm_modules() -> list[Path]:
    return [path for path in modules() if "algorithms" in path.parts]


def test_algorithms_know_nothing_of_the_database() -> None:
    foreign = {"django", "rest_framework", "celery", "annotation", "psycopg", "config"}
    broken = {
        name_of(path): used
        for path in algorithm_modules()
        if (used := sorted(foreign & {name.split(".")[0] for name in imports_of(path.read_text("utf-8"))}))
    }
    assert len(algorithm_modules()) > 8
    assert broken == {}


def test_rows_are_written_by_actions_and_the_queue_alone() -> None:
    broken = {
        name_of(path): writes
        for path in modules()
        if not WRITERS.match(name_of(path)) and (writes := row_writes(path.read_text("utf-8")))
    }
    assert broken == {}


@pytest.mark.parametrize(
    "source",
    [
        "Item.objects.filter(pk=1).update(split=0)",
        "Item.objects.create(pk=1)",
        "project.members.filter(user=user).delete()",
        "item.save()",
        "Item.objects.bulk_create(rows)",
        "cursor.execute('insert into annotation_item values (1)')",
        "cursor.execute('''\n  update annotation_item set split = 1''')",
    ],
)
def test_a_write_outside_the_actions_is_seen(source: str) -> None:
    assert row_writes(source)


@pytest.mark.parametrize("source", ["counts.update(other)", "digest.update(b'x')", "names = set(); names.update('a')"])
def test_what_is_no_row_is_no_write(source: str) -> None:
    assert row_writes(source) == []


def test_there_is_no_drawer_for_everything() -> None:
    assert [name_of(path) for path in modules() if path.name in DRAWERS] == []


def test_modules_stay_small_enough_to_read() -> None:
    long = {name_of(path): n for path in modules() if (n := len(path.read_text("utf-8").splitlines())) > 600}
    assert long == {}


def test_every_module_says_what_lives_in_it() -> None:
    silent = [
        name_of(path)
        for path in modules()
        if path.read_text("utf-8").strip() and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_nothing_is_unpickled() -> None:
    banned = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
    users = {
        name_of(path): used
        for path in modules()
        if (used := sorted(banned & {name.split(".")[0] for name in imports_of(path.read_text("utf-8"))}))
    }
    loads = [
        name_of(path)
        for path in modules()
        if re.search(r"torch\.load|allow_pickle\s*=\s*True", path.read_text("utf-8"))
    ]
    assert (users, loads) == ({}, [])
