"""The labelled texts of a table: which cells are texts and labels, and what kind of labels they are.

Labels are what the cells say, told apart by their text. Where cells hold lists several labels may hold of a text, as in
a question of kind `choices`; with `is_rating` they are points of a scale.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from learning.offline.tables import FileError

# Labels that judge are from a fifth of the file, or more where that is less than this.
MIN_JUDGES = 100
MIN_TEXTS = 2 * MIN_JUDGES
MAX_POINTS = 101
# Labels of fewer texts are never seen on both sides of the split.
MIN_OF_LABEL = 3
NAMED = 12
MAX_NAME = 40
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """Where a row's text and label are, and how the label is meant.

    `votes`: label -> the column that counts its votes. `separator`: between the labels of a cell that holds several.
    `at_least`: the number from which on the label is "yes".
    """

    text: str
    label: str
    votes: Mapping[str, str] = field(default_factory=dict)
    separator: str | None = None
    at_least: float | None = None
    is_rating: bool = False


@dataclass(frozen=True, eq=False)
class TextFile:
    """The labelled texts of a file.

    Attributes
    ----------
    texts : list of str
    y : ndarray of int64, (n_texts,) or (n_texts, n_labels)
        Codes; where several labels may hold, 1 for those that do, else 0.
    names : list of str
        Of the codes.
    votes : ndarray of int64, (n_texts, n_labels), or None
    scale : ndarray of float64, (n_labels,), or None
        The numbers of a rating's points.
    no_text, no_label, repeated : int
        Rows that were passed over, and rows that repeat a text (`merge_texts`).
    """

    texts: list[str]
    y: NDArray[np.int64]
    names: list[str]
    votes: NDArray[np.int64] | None = None
    scale: NDArray[np.float64] | None = None
    no_text: int = 0
    no_label: int = 0
    repeated: int = 0

    @property
    def is_several(self) -> bool:
        """Whether several labels may hold of a text, or none."""
        return self.y.ndim == 2

    @property
    def counts(self) -> NDArray[np.int64]:
        """Texts of each label, (n_labels,)."""
        return np.asarray(
            self.y.sum(axis=0) if self.is_several else np.bincount(self.y, minlength=len(self.names)), np.int64
        )

    def describe(self) -> str:
        """What was read, in two lines or three."""
        order = np.argsort(-self.counts, kind="stable")
        named = ", ".join(f"{shorten(self.names[code])} {self.counts[code]}" for code in order[:NAMED])
        if len(order) > NAMED:
            named += ", " + _("%(n)d more") % {"n": len(order) - NAMED}
        lines = [
            _("%(n)d rows have a text and a label; without a text: %(text)d, without a label: %(label)d.")
            % {"n": len(self.texts) + self.repeated, "text": self.no_text, "label": self.no_label}
        ]
        if self.repeated:
            lines.append(
                _("%(n)d of them repeat a text: %(texts)d texts remain, each with its most frequent label.")
                % {"n": self.repeated, "texts": len(self.texts)}
            )
        kind = _("Labels, of which several may hold") if self.is_several else _("Labels")
        return "\n".join([*lines, f"{kind}: {named}."])


def read_texts(rows: Iterable[tuple[int, Row]], columns: Columns) -> TextFile:
    """The rows that have both a text and a label. FileError says what does not fit, where, and what to do."""
    texts, said, counts, no_text, no_label = [], [], [], 0, 0
    known: set[str] = set()
    for line, row in rows:
        known.update(row)
        content = _read_text(find_value(row, columns.text), line, columns.text)
        label = find_value(row, columns.label)
        if isinstance(label, str):
            label = label.strip()
        if not content:
            no_text += 1
        elif label is None or label == "":
            no_label += 1
        else:
            texts.append(content)
            said.append((line, label))
            counts.append([_read_count(row.get(column), line, column) for column in columns.votes.values()])
    if not texts:
        raise FileError(_tell_nothing(known, columns, no_text, no_label))
    if columns.is_rating or columns.at_least is not None:
        file = _read_numbers(texts, said, columns, no_text, no_label)
    else:
        file = _read_labels(texts, said, columns, no_text, no_label)
    if columns.votes:
        file = _count_votes(file, counts, columns)
    file = merge_texts(file)
    check_labels(file, columns.label)
    return file


def merge_texts(file: TextFile) -> TextFile:
    """Each text once, as an item of a project is one however many people label it.

    Its label is the most frequent of its rows, of equally frequent ones the first in the file; where several may hold,
    those that more than half of its rows have. Votes are added up.
    """
    numbers: dict[str, int] = {}
    same = np.array([numbers.setdefault(text, len(numbers)) for text in file.texts])
    n_texts = len(numbers)
    if n_texts == len(file.texts):
        return file
    n_rows = np.bincount(same)
    if file.is_several:
        n_held = np.zeros((n_texts, len(file.names)), np.int64)
        np.add.at(n_held, same, file.y)
        y = (2 * n_held > n_rows[:, np.newaxis]).astype(np.int64)
    else:
        pairs, first, n_alike = np.unique(same * len(file.names) + file.y, return_index=True, return_counts=True)
        text, code = np.divmod(pairs, len(file.names))
        order = np.lexsort((first, -n_alike, text))
        is_best = np.r_[True, text[order][1:] != text[order][:-1]]
        y = code[order][is_best]
    votes = None
    if file.votes is not None:
        votes = np.zeros((n_texts, len(file.names)), np.int64)
        np.add.at(votes, same, file.votes)
    return replace(file, texts=list(numbers), y=y, votes=votes, repeated=len(file.texts) - n_texts)


def shorten(name: str) -> str:
    """A label as it is shown in a line."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def find_value(row: Row, name: str) -> Any:
    """The value of a column, or of a field inside an object (`meta.label`); None where there is none."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def check_labels(file: TextFile, column: str) -> None:
    """FileError where the labels are too few, or too different, to learn from and to judge by."""
    n_texts = len(file.texts)
    told = {"name": column, "n": n_texts, "least": MIN_TEXTS}
    if n_texts < MIN_TEXTS:
        raise FileError(
            _("%(n)d different texts have a label: too few. It takes %(least)d, as half of them judge at most.") % told
        )
    counts = file.counts
    if (counts > 0).sum() < 2 and not (file.is_several and 0 < counts.max() < n_texts):
        only = file.names[int(counts.argmax())]
        raise FileError(_("The column %(name)s holds only one label: %(only)s.") % {**told, "only": only})
    in_use = counts[counts > 0]
    if in_use[in_use < MIN_OF_LABEL].sum() > n_texts / 2:
        told["labels"] = len(in_use)
        if not file.is_several and all(_as_number(name) is not None for name in file.names):
            raise FileError(
                _(
                    "The column %(name)s holds %(labels)d different numbers in %(n)d texts. Say from which number on"
                    " the label is yes: --at-least 0.5."
                )
                % told
            )
        raise FileError(
            _(
                "The column %(name)s holds %(labels)d different labels in %(n)d texts, most of them once or twice: is"
                " it the right column? Lists in a cell take --separator."
            )
            % told
        )


def _read_text(value: Any, line: int, column: str) -> str:
    """A text without the space around it; words in a list are joined."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(value).strip()
    if isinstance(value, (list, dict)):
        raise FileError(_tell_object(value, line, column))
    return str(value).strip()


def _read_labels(
    texts: list[str], said: Sequence[tuple[int, Any]], columns: Columns, no_text: int, no_label: int
) -> TextFile:
    lists = _find_lists(said, columns)
    if lists is None:
        labels = [_name_of(value, line, columns.label) for line, value in said]
        names = sorted(set(labels) | set(columns.votes), key=_in_order)
        code_of = {name: code for code, name in enumerate(names)}
        y = np.array([code_of[label] for label in labels])
    else:
        names = sorted({name for held in lists for name in held}, key=_in_order)
        if not names:
            raise FileError(_("The column %(name)s holds only empty lists.") % {"name": columns.label})
        code_of = {name: code for code, name in enumerate(names)}
        y = np.zeros((len(texts), len(names)), np.int64)
        for row, held in enumerate(lists):
            y[row, [code_of[name] for name in held]] = 1
    return TextFile(texts, y, names, no_text=no_text, no_label=no_label)


def _find_lists(said: Sequence[tuple[int, Any]], columns: Columns) -> list[list[str]] | None:
    """The labels of each row where cells hold lists; None where each holds one label."""
    if columns.separator:
        parts = [str(value).split(columns.separator) for _line, value in said]
        return [[part.strip() for part in some if part.strip()] for some in parts]
    if all(isinstance(value, str) for _line, value in said):
        found = [_parse_list(value) for _line, value in said]
        if any(one is None for one in found):
            return None
        said = [(line, one) for (line, _value), one in zip(said, found, strict=True)]
    if not any(isinstance(value, list) for _line, value in said):
        return None
    lists = [
        [_name_of(one, line, columns.label) for one in (value if isinstance(value, list) else [value])]
        for line, value in said
    ]
    return [[name for name in held if name] for held in lists]


def _parse_list(text: str) -> list[Any] | None:
    """A list that is written in a cell, as JSON or as Python writes it; None where it is something else."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def _name_of(value: Any, line: int, column: str) -> str:
    """A label's text. 1.0, as tables write whole numbers where some cells are empty, is 1."""
    if isinstance(value, (dict, list)):
        raise FileError(_tell_object(value, line, column))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _read_numbers(
    texts: list[str], said: Sequence[tuple[int, Any]], columns: Columns, no_text: int, no_label: int
) -> TextFile:
    values = []
    for line, value in said:
        number = None if isinstance(value, (bool, list, dict)) else _as_number(str(value))
        if number is None or (columns.is_rating and not number.is_integer()):
            wanted = _("a whole number") if columns.is_rating else _("a number")
            raise FileError(
                _("Line %(line)d: %(column)s is not %(wanted)s: %(value)s.")
                % {"line": line, "column": columns.label, "wanted": wanted, "value": str(value)[:60]}
            )
        values.append(number)
    numbers = np.array(values)
    if columns.at_least is not None:
        line_at = f"{columns.at_least:g}"
        names = [_("below %(number)s") % {"number": line_at}, _("%(number)s or more") % {"number": line_at}]
        y = (numbers >= columns.at_least).astype(np.int64)
        return TextFile(texts, y, names, no_text=no_text, no_label=no_label)
    scale, y = np.unique(numbers, return_inverse=True)
    if len(scale) > MAX_POINTS:
        raise FileError(
            _("The column %(name)s holds %(n)d different numbers: a rating has %(most)d points at most.")
            % {"name": columns.label, "n": len(scale), "most": MAX_POINTS}
        )
    return TextFile(
        texts, y.astype(np.int64), [f"{point:g}" for point in scale], scale=scale, no_text=no_text, no_label=no_label
    )


def _count_votes(file: TextFile, counts: list[list[int]], columns: Columns) -> TextFile:
    if file.is_several or columns.is_rating or columns.at_least is not None:
        raise FileError(_("--votes is for a column of single labels."))
    votes = np.zeros((len(file.texts), len(file.names)), np.int64)
    for position, name in enumerate(columns.votes):
        votes[:, file.names.index(name)] = np.array(counts)[:, position]
    return TextFile(file.texts, file.y, file.names, votes, None, file.no_text, file.no_label)


def _read_count(value: Any, line: int, column: str) -> int:
    try:
        count = int(value or 0)
    except (TypeError, ValueError):
        count = -1
    if count < 0:
        raise FileError(_("Line %(line)d: %(column)s is no count.") % {"line": line, "column": column})
    return count


def _as_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _in_order(name: str) -> tuple[bool, float, str]:
    """Numbers by size, then all others."""
    number = _as_number(name)
    return number is None, number or 0.0, name


def _tell_object(value: Any, line: int, column: str) -> str:
    told = {"line": line, "column": column}
    if isinstance(value, dict) and value:
        return _("Line %(line)d: %(column)s is an object; name one of its fields: %(column)s.%(field)s.") % {
            **told,
            "field": next(iter(value)),
        }
    return _("Line %(line)d: %(column)s is a list or an object: a text or a number is needed.") % told


def _tell_nothing(known: set[str], columns: Columns, no_text: int, no_label: int) -> str:
    """Why no row is of use."""
    if not known:
        return _("The file holds no rows.")
    absent = [name for name in (columns.text, columns.label) if not _is_there(known, name)]
    if not absent:
        return _(
            "No row has both columns %(text)s and %(label)s: without a text %(no_text)d, without a label %(n)d."
        ) % {
            "text": columns.text,
            "label": columns.label,
            "no_text": no_text,
            "n": no_label,
        }
    told = {"names": ", ".join(absent), "known": ", ".join(sorted(name[:60] for name in known)[:30])}
    return (
        _(
            "There is no column %(names)s. The file has: %(known)s. (A file whose first line holds no names takes"
            " --header, a field inside an object its path, as meta.label.)"
        )
        % told
    )


def _is_there(known: set[str], name: str) -> bool:
    return name in known or name.partition(".")[0] in known
