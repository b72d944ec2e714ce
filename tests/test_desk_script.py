"""The desk's modules as one file: what goes in, what stays out, what is refused; and that it is served by its hash."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command

from annotation.desk_script import FOLDER, DeskScriptError, Module, build, read_modules
from config.prepare import IGNORED_STATIC


def modules(**sources: str) -> dict[str, Module]:
    """Modules by name: `widgets_text` stands for widgets/text.js."""
    names = {name: f"{name.replace('_', '/')}.js" for name in sources}
    return {names[name]: Module(names[name], source) for name, source in sources.items()}


def test_each_module_is_a_function_of_its_own_in_the_order_of_the_imports() -> None:
    made = build(
        modules(
            main='import * as b from "./b.js";\nimport { one } from "./a.js";\nb.two(one);\n',
            a="export const one = 1;\n",
            b='import { one } from "./a.js";\nlet n = 0;\nexport function two() { n += one; }\n',
        )
    )
    assert made.shared == ()
    assert made.text.splitlines()[1:] == [
        "",
        "/* a.js */",
        "const $a = await (async () => {",
        "const one = 1;",
        "return { one };",
        "})();",
        "",
        "/* b.js */",
        "const $b = await (async () => {",
        "const { one } = $a;",
        "let n = 0;",
        "function two() { n += one; }",
        "return { two };",
        "})();",
        "",
        "/* main.js */",
        "const $main = await (async () => {",
        "const b = $b;",
        "const { one } = $a;",
        "b.two(one);",
        "})();",
    ]


def test_what_a_module_loaded_on_demand_imports_too_stays_a_file() -> None:
    made = build(
        modules(
            main='import { a } from "./a.js";\nimport { c } from "./c.js";\n',
            a='import { b } from "./b.js";\nexport const a = b;\n',
            b="export const b = {};\n",
            c='import { a } from "./a.js";\nexport const c = a;\n',
            widgets_text='import { a } from "../a.js";\nexport const build = () => a;\n',
        )
    )
    assert made.shared == ("b.js", "a.js")
    assert made.text.splitlines()[1:3] == ['import * as $b from "./b.js";', 'import * as $a from "./a.js";']
    assert re.findall(r"^/\* (.+) \*/$", made.text, re.MULTILINE)[1:] == ["c.js", "main.js"]


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({"main": 'import a from "./a.js";', "a": ""}, 'main.js: not one of the ways .*: import a from "./a.js";'),
        ({"main": "", "widgets_text": 'import "../a.js";'}, "widgets/text.js: not one of the ways"),
        ({"main": 'import { a } from "./a.js";', "a": "export let a = 1;"}, "a.js: not one of .*: export let a = 1;"),
        ({"main": 'import { b } from "./a.js";', "a": "export const a = 1;"}, "main.js imports b from a.js"),
        ({"main": 'import { a } from "./a.js";'}, "main.js imports a.js, which is not there"),
        (
            {"main": 'import { a } from "./a.js";', "a": 'import { a } from "./a.js";'},
            "import each other: main.js, a.js, a.js",
        ),
        ({"main": "", "widgets_text": 'import { a } from "../main.js";'}, "it would run twice"),
    ],
)
def test_what_it_does_not_know_is_refused_and_named(sources: dict[str, str], told: str) -> None:
    with pytest.raises(DeskScriptError, match=told):
        build(modules(**sources))


def test_every_module_of_the_desk_is_in_it_or_a_file_that_others_need_too() -> None:
    found = read_modules(FOLDER)
    made = build(found)
    inside = re.findall(r"^/\* (\S+\.js) \*/$", made.text, re.MULTILINE)
    outside = {name for name in found if "/" in name}
    assert sorted([*inside, *made.shared]) == sorted(found.keys() - outside)
    assert set(made.shared) == {"page.js", "server.js", "guideline.js"}


def test_the_built_file_is_found_where_files_are_served_as_they_are() -> None:
    path = finders.find("js/desk/built.js")
    assert path
    assert Path(path).read_text("utf-8") == build(read_modules(FOLDER)).text


def test_collected_files_import_each_other_by_their_hashed_names(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": "config.static_files.ModuleStorage"}}
    call_command("collectstatic", verbosity=0, interactive=False, ignore_patterns=IGNORED_STATIC)
    paths = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    built = (tmp_path / paths["js/desk/built.js"]).read_text("utf-8")
    imported = re.findall(r'^import \* as \S+ from "\./(.+)";$', built, re.MULTILINE)
    assert [f"js/desk/{name}" for name in imported] == [
        paths[f"js/desk/{name}"] for name in build(read_modules(FOLDER)).shared
    ]
    assert (tmp_path / f"{paths['js/desk/built.js']}.gz").exists()
