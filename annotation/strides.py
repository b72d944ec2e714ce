"""Going through many items: some thousand ids at a time, so that no statement and no transaction is long."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import QuerySet

from annotation.models import Item


def stride(items: QuerySet[Item], n: int, after: int | None = None) -> Iterator[list[int]]:
    """The ids of the items above `after` (None: of all), ascending, in lists of `n`, the last one shorter; never empty.

    Each list is asked for when the one before it has been dealt with: an item that is gone by then is not among it, and
    one that came since is, where its id is higher than those that were.
    """
    ids = items.order_by("pk").values_list("pk", flat=True)
    while found := list((ids if after is None else ids.filter(pk__gt=after))[:n]):
        yield found
        after = found[-1]
