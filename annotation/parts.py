"""The parts of an item, as far as an answer that points into them has to be held against them."""

from __future__ import annotations

from django.db import connection

from annotation.kinds import Part


def read_parts(item_id: int) -> dict[str, Part] | None:
    """The parts of an item by name, without their content; None where that is not there any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select p ->> 'name', p ->> 'kind', length(p ->> 'text')
            from annotation_itempayload, jsonb_array_elements(parts) p where item_id = %s
            """,
            [item_id],
        )
        return {name: Part(kind, length) for name, kind, length in cursor.fetchall()} or None
