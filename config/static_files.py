"""Static files: the desk's modules as one file, and names that hold a hash, so that browsers keep files for ever."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage, Storage
from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]

from annotation.desk_script import BUILT, FOLDER, build, read_modules

# `import ... from "./page.js";` of our own modules, and of nothing that a package brings.
_IMPORT = (r"""(?P<matched>from "(?P<url>\.\.?/[^"]+)";)""", """from "%(url)s";""")


class ModuleStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Writes the hashed names into our modules' imports too."""

    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("js/*.js", (_IMPORT,)))


class DeskFinder(BaseFinder):
    """Finds `js/desk/built.js`, which it writes anew whenever it is looked for and the modules have changed.

    So it is there for `collectstatic` and for whoever serves the files as they are. It lies in the installation's home.
    """

    name = f"js/desk/{BUILT}"

    def __init__(self) -> None:
        self._folder = settings.TOUCHSTONE_HOME / "built"
        self._storage = FileSystemStorage(location=self._folder)

    def find(self, path: str, find_all: bool = False, **_options: Any) -> Any:
        """The path of the built file; nothing for any other."""
        if path != self.name:
            return []
        written = str(self._write())
        return [written] if find_all else written

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:
        """The built file alone."""
        self._write()
        yield self.name, self._storage

    def _write(self) -> Path:
        target = Path(self._folder / self.name)
        text = build(read_modules(FOLDER)).text
        if not target.exists() or target.read_text("utf-8") != text:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, fresh = tempfile.mkstemp(dir=target.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
            os.replace(fresh, target)
        return target
