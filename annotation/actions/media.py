"""Files of a project: their rows. The bytes are kept by `annotation/media.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from django.db import connection, transaction
from django.utils.translation import gettext as _

from annotation.actions.derivatives import lock_media, start_derivation
from annotation.actions.events import write_event
from annotation.actions.items import erase_items
from annotation.actions.jobs import start_job
from annotation.derivatives import unlink_derivatives
from annotation.errors import UnavailableError
from annotation.media import media_path, store_media
from annotation.media_reading import MediaReader
from annotation.models import Item, ItemPayload, Job, Media, Project, User


def add_media(
    *,
    project: Project,
    source: BinaryIO,
    actor: User | None,
    expected_sha256: str | None = None,
    reader: MediaReader | None = None,
    is_image: bool = False,
) -> tuple[Media, bool]:
    """Keep a file for a project; the same bytes again are kept once. Returns the row, and whether it is new.

    Not atomic as a whole: the file is on disk before its row is, so that no row is ever without its file. `reader` is
    the caller's own, for many files in a row; `is_image` refuses audio and video. Raises MediaError. A job makes
    what belongs to a new file (`annotation/derivatives.py`).
    """
    stored = store_media(source, project.pk, expected_sha256, reader=reader, is_image=is_image)
    with transaction.atomic():
        lock_media(project, is_shared=True)
        if not media_path(project.pk, stored.sha256).exists():
            raise UnavailableError(_("The same file was removed at this very moment. Send it again."))
        media, is_new = Media.objects.get_or_create(
            project=project,
            sha256=stored.sha256,
            defaults={"size": stored.size, "mime": stored.mime, "width": stored.width, "height": stored.height},
        )
        if is_new:
            write_event(project=project, kind="media.added", actor=actor, ref_id=media.pk)
            start_derivation(project=project)
    return media, is_new


@transaction.atomic
def erase_item(*, item: Item, actor: User, reason: str) -> Job:
    """Erase an item's payload at once, and its files, unless another item shows them, by a job."""
    parts = ItemPayload.objects.filter(item=item).values_list("parts", flat=True).first() or []
    erase_items(project=item.project, item_ids=[item.pk], actor=actor, reason=reason)
    return start_job(
        kind="remove-media",
        project=item.project,
        created_by=actor,
        args={"sha256": sorted({part["media"] for part in parts if "media" in part})},
        lock=f"import:{item.project_id}",  # a running import may be about to show them again
    )


def remove_unused_media(*, project: Project, sha256: Sequence[str]) -> int:
    """Remove those of these files that no item shows any more, and return how many. Runs under the lock of imports.

    The files go before the rows are committed: cut off in between, a repeated run finds the rows and ends it. The other
    way round an erased file could stay on disk for good.
    """
    with transaction.atomic():
        lock_media(project, is_shared=False)
        with connection.cursor() as cursor:
            cursor.execute(
                "delete from annotation_media m where m.project_id = %s and m.sha256 = any(%s) and m.sha256 not in ("
                " select part ->> 'media' from annotation_item i join annotation_itempayload p on p.item_id = i.id,"
                " jsonb_array_elements(p.parts) part where i.project_id = %s and part ->> 'media' = any(%s))"
                " returning m.sha256",
                [project.pk, list(sha256), project.pk, list(sha256)],
            )
            removed = [row[0] for row in cursor.fetchall()]
        write_event(project=project, kind="media.removed", actor=None, data={"n": len(removed)})
        for name in removed:
            unlink_derivatives(project.pk, name)
            media_path(project.pk, name).unlink(missing_ok=True)
    return len(removed)
