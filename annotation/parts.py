"""The parts of an item, as far as an answer that points into them has to be held against them."""

from __future__ import annotations

from django.db import connection

from annotation.kinds import Part


def read_parts(item_id: int) -> dict[str, Part] | None:
    """The parts of an item by name, without their content; None where that is not there any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select p ->> 'name', p ->> 'kind', length(p ->> 'text'),
              coalesce(m.derivatives -> 'poster' ->> 'seconds', m.derivatives -> 'peaks' ->> 'seconds')::float8
            from annotation_item i join annotation_itempayload x on x.item_id = i.id
            cross join jsonb_array_elements(x.parts) p
            left join annotation_media m on m.project_id = i.project_id and m.sha256 = p ->> 'media'
            where i.id = %s
            """,
            [item_id],
        )
        return {name: Part(kind, length, seconds) for name, kind, length, seconds in cursor.fetchall()} or None
