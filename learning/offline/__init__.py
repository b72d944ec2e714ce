"""`manage.py simulate learning FILE`: query strategies compared on any labelled file. Nothing is stored."""

from __future__ import annotations

from learning.offline.comparison import Report, compare_file
from learning.offline.labels import Columns, TextFile, read_texts
from learning.offline.options import add_arguments, check_options, columns_of
from learning.offline.report import as_json, as_table
from learning.offline.tables import FORMATS, FileError, read_table

__all__ = [
    "FORMATS",
    "Columns",
    "FileError",
    "Report",
    "TextFile",
    "add_arguments",
    "as_json",
    "as_table",
    "check_options",
    "columns_of",
    "compare_file",
    "read_table",
    "read_texts",
]
