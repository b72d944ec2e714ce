"""PostgreSQL's 64-bit transaction ids, as a column."""

from __future__ import annotations

from typing import Any

from django.db import models


class TransactionId(models.Field[Any, Any]):
    """PostgreSQL's 64-bit transaction id, `xid8`: what tells a reader which events can still appear behind it."""

    def db_type(self, connection: Any) -> str:
        return "xid8"

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> int | None:
        return None if value is None else int(value)
