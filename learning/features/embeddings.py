"""A line of given embeddings, checked: `{"external_id", "vector", "name"?}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from annotation.plain_text import find_line_fault, quote
from annotation.vectors import VectorError, parse_vector

DEFAULT_NAME = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_KEYS = frozenset({"external_id", "vector", "name"})


class EmbeddingError(ValueError):
    """The line is not a valid embedding; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class GivenVector:
    """The vector of one item; `vector` is float32, little-endian."""

    external_id: str
    name: str
    vector: bytes

    @property
    def n_dimensions(self) -> int:
        return len(self.vector) // 4


def parse_embedding(row: Mapping[str, Any]) -> GivenVector:
    """Check one line. Raises EmbeddingError."""
    if not row.keys() <= _KEYS:
        raise EmbeddingError(
            _("There is no field %(name)s. Known: %(known)s.")
            % {"name": quote(min(set(row) - _KEYS)), "known": ", ".join(sorted(_KEYS))}
        )
    external_id = row.get("external_id")
    fault = find_line_fault(external_id, 200)
    if fault is not None:
        raise EmbeddingError(_("`%(field)s` %(fault)s.") % {"field": "external_id", "fault": fault})
    name = DEFAULT_NAME if row.get("name") is None else row["name"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise EmbeddingError(
            _("`name` must be 1 to 60 of A-Z, a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit.")
        )
    if "vector" not in row:
        raise EmbeddingError(_("The line has no `vector`."))
    try:
        return GivenVector(str(external_id), name, parse_vector(row["vector"]))
    except VectorError as error:
        raise EmbeddingError(str(error)) from error
