"""The sentence model of the installation: a folder that the operator names, looked at before a library reads it.

Whoever made the files is not trusted. Weights may lie in safetensors files alone; nothing that can hold a program may
lie beside them; and the parts that `modules.json` names are of the few kinds known here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from annotation.plain_text import quote

# The value of the learning setting `text` that needs such a model.
SENTENCES = "sentences"
PACKAGE = "sentence_transformers"
MODULES = "modules.json"
WEIGHTS = "model.safetensors"
MAX_FILES = 200
MAX_MODULES_BYTES = 100_000
# Read by the library, and so part of what a model is.
_READ = frozenset({".json", ".txt", ".model", ".safetensors"})
# Read by people.
_TOLD = re.compile(r".*\.md|licen[cs]e|notice", re.IGNORECASE)
# Where sentence-transformers keeps its modules, before its version 5.4 and since.
_MODULE = re.compile(
    r"sentence_transformers\.(?:models|base\.modules|sentence_transformer\.modules)(?:\.[a-z_]+)?"
    r"\.(Transformer|Pooling|Dense|Normalize|LayerNorm|StaticEmbedding)"
)
_WEIGHTED = frozenset({"Dense", "LayerNorm", "StaticEmbedding"})


class SentenceModelError(ValueError):
    """No sentence embeddings can be made on this host; the message is a sentence that says why, and what to do."""


@dataclass(frozen=True)
class SentenceModel:
    """A folder that was looked at.

    Attributes
    ----------
    folder : Path
    digest : str
        SHA-256 of the names and contents of all files that the library reads: another model has another one.
    """

    folder: Path
    digest: str


def find_model() -> SentenceModel:
    """The installation's sentence model. Raises SentenceModelError where there is none that can be used here."""
    folder = check_folder()
    return SentenceModel(folder, _digest(tuple(_list_files(folder))))


def find_fault() -> str | None:
    """Why no sentence embeddings can be made; None where they can, as far as a look at names tells.

    A host without scikit-learn fits nothing itself and cannot tell what its workers have; a round says so then.
    """
    if settings.SENTENCE_MODEL and find_spec("sklearn") is None:
        return None
    try:
        check_folder()
    except SentenceModelError as error:
        return str(error)
    return None


def check_folder() -> Path:
    """The folder that the installation names. Raises SentenceModelError where it cannot be used."""
    if not settings.SENTENCE_MODEL:
        raise SentenceModelError(
            _("no sentence model is set up: the installation needs SENTENCE_MODEL, a folder, in its environment")
        )
    if find_spec(PACKAGE) is None:
        raise SentenceModelError(_("sentence-transformers is not installed here: pip install 'touchstone[sentences]'"))
    folder = Path(settings.SENTENCE_MODEL)
    try:
        names = {file.relative for file in _list_files(folder)}
        _check_modules(folder, names)
    except OSError as error:
        raise SentenceModelError(
            _("the folder of the sentence model cannot be read (%(reason)s): look at SENTENCE_MODEL")
            % {"reason": error.strerror or type(error).__name__}
        ) from error
    return folder


@dataclass(frozen=True)
class _File:
    """A file that the library may read, as it was when it was listed."""

    path: Path
    relative: str
    size: int
    changed_ns: int


def _list_files(folder: Path) -> list[_File]:
    """The files that count, by name. Hidden ones (of git, of downloaders) are read by nobody."""
    found: list[_File] = []
    for parent, folders, names in os.walk(folder, onerror=_pass_on):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(Path(parent, name).is_symlink() for name in folders):
            raise SentenceModelError(_("the sentence model's folder has links to folders in it: put the folders there"))
        for name in sorted(names):
            path = Path(parent, name)
            if name.startswith(".") or _TOLD.fullmatch(name):
                continue
            relative = path.relative_to(folder).as_posix()
            if path.suffix not in _READ or not path.is_file():
                raise SentenceModelError(
                    _(
                        "the folder of the sentence model holds %(name)s, and files of such a kind can hide a program:"
                        " only safetensors, JSON and vocabularies (.txt, .model) may lie in it. Remove that file"
                    )
                    % {"name": quote(relative, 100)}
                )
            told = path.stat()
            found.append(_File(path, relative, told.st_size, told.st_mtime_ns))
            if len(found) > MAX_FILES:
                raise SentenceModelError(
                    _("the folder of the sentence model holds more than %(most)d files: name the model's own folder")
                    % {"most": MAX_FILES}
                )
    return found


def _pass_on(error: OSError) -> None:
    raise error


def _check_modules(folder: Path, names: set[str]) -> None:
    for kind, path in _read_modules(folder, names):
        parts = PurePosixPath(path).parts
        if PurePosixPath(path).is_absolute() or any(part.startswith(".") for part in parts):
            raise SentenceModelError(
                _("modules.json of the sentence model names a part outside its folder: take another model")
            )
        own = {str(PurePosixPath(path, WEIGHTS))}
        if kind == "Transformer":
            own.add(str(PurePosixPath(path, f"{WEIGHTS}.index.json")))
        if (kind == "Transformer" or kind in _WEIGHTED) and not own & names:
            raise SentenceModelError(
                _("the sentence model has no %(name)s: take one whose weights are published as safetensors")
                % {"name": min(own, key=len)}
            )


def _read_modules(folder: Path, names: set[str]) -> list[tuple[str, str]]:
    """The kinds and the paths of a model's parts."""
    if MODULES not in names:
        raise SentenceModelError(
            _("SENTENCE_MODEL is not the folder of a sentence model: it has no modules.json. Name another folder")
        )
    with (folder / MODULES).open("rb") as file:
        data = file.read(MAX_MODULES_BYTES)
    try:
        listed: Any = json.loads(data)
        parts = [(str(one["type"]), str(one["path"])) for one in listed]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SentenceModelError(
            _("modules.json of the sentence model is not as sentence-transformers writes it: fetch the model again")
        ) from error
    found = []
    for name, path in parts:
        match = _MODULE.fullmatch(name)
        if match is None:
            raise SentenceModelError(
                _("the sentence model has a part of the kind %(name)s, which is not known here: take another model")
                % {"name": quote(name, 100)}
            )
        found.append((match[1], path))
    if not found:
        raise SentenceModelError(_("the sentence model has no parts in its modules.json: fetch the model again"))
    return found


@lru_cache(maxsize=2)
def _digest(files: tuple[_File, ...]) -> str:
    """Computed anew where a name, a size or a time of change is another one."""
    whole = hashlib.sha256()
    for file in files:
        with file.path.open("rb") as opened:
            whole.update(f"{file.relative}\0{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()
