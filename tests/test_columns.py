"""Rows to arrays: every value as it is in the database, and never a column that is out of step with the others."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reviewers.columns import read_columns

pytestmark = pytest.mark.django_db

ROWS = "select * from (values (1, %(least)s, 0.5), (2, -7, -1e300), (3, 0, 'nan')) v(id, whole, part) order by id"


def test_columns_come_as_arrays_of_their_type_in_the_order_of_the_query() -> None:
    least = -(2**63)
    found = read_columns(ROWS, {"least": least}, whole="int8", part="float8")
    assert list(found) == ["whole", "part"]
    assert (found["whole"].dtype.name, found["part"].dtype.name) == ("int64", "float64")
    assert found["whole"].tolist() == [least, -7, 0]
    np.testing.assert_array_equal(found["part"], [0.5, -1e300, np.nan])
    found["whole"][0] = 1  # it is the caller's own


def test_columns_are_read_while_statements_are_logged() -> None:
    with CaptureQueriesContext(connection):
        assert read_columns(ROWS, {"least": 0}, id="int8")["id"].tolist() == [1, 2, 3]


def test_no_rows_are_empty_arrays() -> None:
    found = read_columns(f"select * from ({ROWS}) x where id > 3", {"least": 0}, id="int8", part="float8")
    assert [(len(column), column.dtype.name) for column in found.values()] == [(0, "int64"), (0, "float64")]


def test_a_null_is_refused_by_the_name_of_its_column() -> None:
    with pytest.raises(ValueError, match="1 of 3 rows have no half"):
        read_columns(f"select id, nullif(part, 0.5) as half from ({ROWS}) x", {"least": 0}, id="int8", half="float8")
