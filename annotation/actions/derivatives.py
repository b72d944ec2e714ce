"""What was made out of files: their rows, when the worker is to look, and the end of all of it in quarantine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from django.db import connection, transaction
from django.db.models import QuerySet

from annotation.actions.jobs import start_job
from annotation.actions.locks import lock_project
from annotation.derivatives import Derivation, unlink_derivatives, write_derivatives
from annotation.models import Job, Media, Project

KIND = "make-derivatives"


def lock_media(project: Project, *, is_shared: bool) -> None:
    """Keep adding (shared) and removing files apart until the transaction ends, so that no row is without its file."""
    lock_project(project, "media", is_shared=is_shared)


def find_waiting(project: Project) -> QuerySet[Media]:
    """The files of a project that the worker has not looked at yet, in the order in which they came."""
    return Media.objects.filter(project=project, derivatives__isnull=True, is_sealed=False).order_by("pk")


def start_derivation(*, project: Project) -> None:
    """Have the worker look at a project's new files, unless it is told already. Under the (shared) lock of media.

    A job that is told looks at everything that is there when it ends, because it ends under the lock.
    """
    newest = Job.objects.filter(project=project, kind=KIND).order_by("-pk").values_list("state", flat=True).first()
    if newest not in (Job.State.QUEUED, Job.State.RUNNING):
        start_job(kind=KIND, project=project, created_by=None, lock=f"derive:{project.pk}")


@transaction.atomic
def keep_derivatives(*, project: Project, media: Media, derivation: Derivation, check: Callable[[], None]) -> bool:
    """Store what was made out of a file, unless that is gone or sealed by now. Returns whether it was stored.

    `check` raises where the job is lost. The files are on disk before the row says so.
    """
    lock_media(project, is_shared=True)
    check()
    if find_waiting(project).select_for_update().filter(pk=media.pk).first() is None:
        return False
    write_derivatives(project.pk, media.sha256, derivation)
    Media.objects.filter(pk=media.pk).update(derivatives=derivation.as_json())
    return True


@transaction.atomic
def end_derivation(*, project: Project, finish: Callable[[], None]) -> None:
    """End the job by `finish`, and start another one where files wait: so that other jobs get their turn between."""
    lock_media(project, is_shared=False)
    finish()
    if find_waiting(project).exists():
        start_derivation(project=project)


@transaction.atomic
def derive_again(*, project: Project) -> int:
    """Have the worker look again at the files of which something was left out, and return how many these are."""
    lock_media(project, is_shared=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_media set derivatives = null where project_id = %s and derivatives @? '$.*.left_out'",
            [project.pk],
        )
        n_files: int = cursor.rowcount
    if n_files:
        start_derivation(project=project)
    return n_files


@transaction.atomic
def seal_media(*, project: Project, sha256: Sequence[str]) -> None:
    """Show these files to nobody from now on, and remove what was made out of them. The files stay, sealed.

    Every item that shows the same bytes loses them: what may be illegal to hold is so wherever it stands.
    """
    Media.objects.filter(project=project, sha256__in=sha256).update(is_sealed=True, derivatives=None)
    transaction.on_commit(partial(_unlink_all, project.pk, list(sha256)))


@transaction.atomic
def unseal_media(*, project: Project, sha256: Sequence[str]) -> None:
    """Show these files again to those who may see what they stand in; what is made out of them is made anew."""
    lock_media(project, is_shared=True)
    if Media.objects.filter(project=project, sha256__in=sha256, is_sealed=True).update(is_sealed=False):
        start_derivation(project=project)


def _unlink_all(project_id: int, names: list[str]) -> None:
    for name in names:
        unlink_derivatives(project_id, name)
