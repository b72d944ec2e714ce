"""The desk's small modules as one file, `static/js/desk/built.js`: a page that has nothing yet asks once, not 20 times.

What goes in are `main.js` and the modules that it imports, in the order in which they would run, each in a function of
its own, so that their names stay apart. What a widget or a viewer imports too stays a file of its own and is imported
from there by both: a module runs once. Widgets and viewers stay files as well, fetched by the pages that need them.

A few ways of writing imports and exports are known, one to a line, and others are refused: that keeps this small.

    import { a, b } from "./x.js";      import * as x from "./x.js";
    export const a = ...                export function a() ...         export async function a() ...
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.conf import settings

FOLDER: Path = settings.BASE_DIR / "static" / "js" / "desk"
ENTRY = "main.js"
BUILT = "built.js"

_NAME = r"[\w$]+"
_IMPORT = re.compile(
    rf"""^import (?:\* as (?P<whole>{_NAME})|\{{ (?P<names>{_NAME}(?:, {_NAME})*) \}}) """
    r"""from "(?P<path>\.\.?/[^"]+)";$""",
    re.MULTILINE,
)
_EXPORT = re.compile(rf"^export (?P<what>const|function|async function) (?P<name>{_NAME})", re.MULTILINE)
_OTHER_IMPORT = re.compile(r"^(?:import\b(?!\()|export\b.*\bfrom\b).*", re.MULTILINE)
_OTHER_EXPORT = re.compile(r"^export\b.*", re.MULTILINE)


class DeskScriptError(ValueError):
    """The modules of the desk cannot be made one file; says where and why."""


@dataclass(frozen=True)
class Module:
    """One file; `name` is its path below `static/js/desk`."""

    name: str
    source: str

    @cached_property
    def imports(self) -> list[str]:
        """The names of the modules that it imports, in order. Raises DeskScriptError."""
        _refuse(self, _OTHER_IMPORT.search(_IMPORT.sub("", self.source)))
        return [self.resolve(found["path"]) for found in _IMPORT.finditer(self.source)]

    @cached_property
    def exports(self) -> list[str]:
        """What others can import from it, in order."""
        return [found["name"] for found in _EXPORT.finditer(self.source)]

    @property
    def variable(self) -> str:
        """What the built file calls it. No name of ours begins with a $ and goes on."""
        return "$" + re.sub(r"\W", "_", self.name.removesuffix(".js"))

    def resolve(self, path: str) -> str:
        """The name of the module that it calls `path`."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.name), path))


@dataclass(frozen=True)
class DeskScript:
    """`text`: the built file; `shared`: the modules that it imports, as files of their own."""

    text: str
    shared: tuple[str, ...]


def read_modules(folder: Path) -> dict[str, Module]:
    """All modules below a folder but the built one, by name."""
    paths = sorted(path for path in folder.rglob("*.js") if path.name != BUILT)
    names = [path.relative_to(folder).as_posix() for path in paths]
    return {name: Module(name, path.read_text("utf-8")) for name, path in zip(names, paths, strict=True)}


def build(modules: Mapping[str, Module], entry: str = ENTRY) -> DeskScript:
    """Put `entry` and what it imports into one file. Raises DeskScriptError."""
    order = _reach(modules, [entry])
    shared = [name for name in order if name in _reach(modules, sorted(modules.keys() - set(order)))]
    if entry in shared:
        raise DeskScriptError(f"{entry} is imported by a module that it loads on demand: it would run twice.")
    head = "/* Built out of the modules named below (annotation/desk_script.py): read and change those. */"
    imports = [f'import * as {modules[name].variable} from "./{name}";' for name in shared]
    bodies = [_wrap(modules, modules[name]) for name in order if name not in shared]
    return DeskScript("\n".join([head, *imports, *bodies]), tuple(shared))


def _reach(modules: Mapping[str, Module], starts: Iterable[str]) -> list[str]:
    """What these modules import, and they themselves, in the order in which a browser runs them."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise DeskScriptError(f"These modules import each other: {', '.join([*path, name])}.")
        if name in done:
            return
        if name not in modules:
            raise DeskScriptError(f"{path[-1] if path else 'Nobody'} imports {name}, which is not there.")
        for imported in modules[name].imports:
            visit(imported, (*path, name))
        done.append(name)

    for name in starts:
        visit(name, ())
    return done


def _wrap(modules: Mapping[str, Module], module: Module) -> str:
    """The module as a function that is run at once; awaited, because a module may await something itself."""

    def rewrite(found: re.Match[str]) -> str:
        target = modules[module.resolve(found["path"])]
        names = found["names"].split(", ") if found["names"] else []
        missing = [name for name in names if name not in target.exports]
        if missing:
            raise DeskScriptError(f"{module.name} imports {', '.join(missing)} from {target.name}, which exports none.")
        return f"const {found['whole'] or '{ ' + ', '.join(names) + ' }'} = {target.variable};"

    body = _EXPORT.sub(r"\g<what> \g<name>", _IMPORT.sub(rewrite, module.source))
    _refuse(module, _OTHER_EXPORT.search(body))
    returned = f"return {{ {', '.join(module.exports)} }};\n" if module.exports else ""
    return f"\n/* {module.name} */\nconst {module.variable} = await (async () => {{\n{body.rstrip()}\n{returned}}})();"


def _refuse(module: Module, line: re.Match[str] | None) -> None:
    if line:
        raise DeskScriptError(f"{module.name}: not one of the ways to import and export that are known here: {line[0]}")
