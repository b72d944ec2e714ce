"""The parts of items, as far as an answer that points into them has to be held against them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from annotation.kinds import Part

_PARTS = """
    select i.id, p ->> 'name', p ->> 'kind', length(p ->> 'text'),
      coalesce(m.derivatives -> 'poster' ->> 'seconds', m.derivatives -> 'peaks' ->> 'seconds')::float8
    from annotation_item i join annotation_itempayload x on x.item_id = i.id
    cross join jsonb_array_elements(x.parts) p
    left join annotation_media m on m.project_id = i.project_id and m.sha256 = p ->> 'media'
"""


def read_parts(item_id: int) -> dict[str, Part] | None:
    """The parts of an item by name, without their content; None where that is not there any more."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_PARTS} where i.id = %s", [item_id])
        return {name: Part(kind, length, seconds) for _id, name, kind, length, seconds in cursor.fetchall()} or None


def read_parts_of(item_ids: Sequence[int]) -> dict[int, dict[str, Part]]:
    """The same of several items; those whose content is not there any more are left out."""
    found: dict[int, dict[str, Part]] = {}
    with connection.cursor() as cursor:
        cursor.execute(f"{_PARTS} where i.id = any(%s)", [list(item_ids)])
        for item, name, kind, length, seconds in cursor.fetchall():
            found.setdefault(item, {})[name] = Part(kind, length, seconds)
    return found
