"""The jobs that erase: everything of an archived project, or images that no item shows any more."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.actions.items import erase_items
from annotation.actions.media import remove_unused_media
from annotation.job_kinds.uploads import remove_upload
from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.models import Item, Job, Media, Project

BATCH = 500


@job_kind("erase")
def run_erasure(running: RunningJob) -> dict[str, int]:
    """Erase the payloads of an archived project, then its images and uploads; the result is `{"erased", "media"}`.

    In batches: labels, history and commitments stay. An attempt goes on where the one before it was cut off, and counts
    what it did itself.
    """
    project = running.project
    if not Project.objects.filter(pk=project.pk, state=Project.State.ARCHIVED).exists():
        raise JobFailedError(_("The project is not archived: nothing was erased."))
    items = Item.objects.filter(project=project).exclude(lifecycle=Item.Lifecycle.ERASED)
    media = Media.objects.filter(project=project).order_by("pk")
    total = items.count() + media.count()
    n_items = n_media = 0
    while ids := list(items.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            running.check()
            n_items += erase_items(
                project=project, item_ids=ids, actor=running.job.created_by, reason=_("The project was archived.")
            )
        running.progress(n_items, total)
    after = 0
    while rows := list(media.filter(pk__gt=after).values_list("pk", "sha256")[:BATCH]):
        with transaction.atomic():
            running.check()
            n_media += remove_unused_media(project=project, sha256=[sha256 for _pk, sha256 in rows])
        after = rows[-1][0]
        running.progress(n_items + n_media, total)
    for job in Job.objects.filter(project=project, args__has_key="file", ended_at__isnull=False):
        remove_upload(job.args)
    return {"erased": n_items, "media": n_media}


@job_kind("remove-media")
def run_media_removal(running: RunningJob) -> dict[str, int]:
    """Remove those of the images in `sha256` that no item shows any more; the result is `{"media"}`."""
    names: list[str] = running.args["sha256"]
    running.check()
    return {"media": remove_unused_media(project=running.project, sha256=names) if names else 0}
