"""The job that turns an uploaded file into items: a table of rows, or an archive of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.actions.imports import BATCH_ROWS, KIND, Outcome, load_items
from annotation.actions.media import add_media, remove_unused_media
from annotation.errors import TouchstoneError
from annotation.importing.archive import ArchiveFormat, detect_archive, read_archive
from annotation.importing.decompression import Compression
from annotation.importing.formats import RowProblem, Source, detect_source, read_rows
from annotation.importing.rows import RowError, make_image_row, parse_row
from annotation.importing.sorting import Rows
from annotation.job_kinds.uploads import remove_leftovers, remove_upload, upload_path
from annotation.job_kinds.url_parts import WINDOW, UrlFetcher, UrlPartsError, refuse_urls
from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.media_reading import MediaReader
from annotation.models import Media, Project
from annotation.plain_text import quote
from annotation.schema import Compiled


@job_kind(KIND)
def run_import(running: RunningJob) -> None:
    """Import the file; the result is CONTRACT's `{"imported", "unchanged", "rejected", "errors"}`, also where it fails.

    The file is removed at the end, whatever that is; after a kill it is still there for the next attempt.
    """
    args, project = running.args, running.project
    path = upload_path(args)
    remove_leftovers(running.job)
    if not path.is_file():
        raise JobFailedError(_("The uploaded file is gone. Send it again."), result=Outcome().as_result())
    images: set[str] = set()
    try:
        packed = detect_archive(args["name"])
        if packed is not None:
            outcome, is_stored = _load(running, lambda: _read_images(path, *packed, project=project, images=images))
        else:
            outcome, is_stored = _load_table(running, path, images)
    except Exception:
        if running.job.attempt >= running.job.max_attempts:
            remove_upload(args)
        raise
    if not is_stored:
        with transaction.atomic():
            running.check()
            _forget_images(running, images)
            remove_upload(args)
        raise JobFailedError(_explain(outcome), result=outcome.as_result())
    if outcome.rejected and images:
        with transaction.atomic():
            running.check()
            _forget_images(running, images)
    running.finish(outcome.as_result())
    remove_upload(args)


def _load_table(running: RunningJob, path: Path, images: set[str]) -> tuple[Outcome, bool]:
    """Load a table. Whether it names media by address is told only by reading it: where it does, it is begun anew."""
    table = _reader(path, running.project, running.args)
    try:
        return _load(running, lambda: refuse_urls(table()), is_read_ahead=True)
    except UrlPartsError:
        fetcher = UrlFetcher(project=running.project, upload=path, images=images, check=running.check)
        return _load(running, lambda: fetcher.replace(table()), batch_rows=WINDOW)


def _load(
    running: RunningJob, read: Callable[[], Rows], *, is_read_ahead: bool = False, batch_rows: int = BATCH_ROWS
) -> tuple[Outcome, bool]:
    """Load the rows. Read ahead is only what asks no database: media that come along are stored as they are read."""
    return load_items(
        project=running.project,
        read=read,
        actor=running.job.created_by,
        schema=running.project.schema,  # which the rows are read by
        job_id=running.job.pk,
        partial=running.args["partial"],
        update_metadata=running.args["update_metadata"],
        is_read_ahead=is_read_ahead,
        progress=running.progress,
        check=running.check,
        batch_rows=batch_rows,
    )


def _explain(outcome: Outcome) -> str:
    if outcome.fault:
        return _("Nothing was stored. %(fault)s") % {"fault": outcome.fault}
    first = outcome.errors[0]
    return ngettext(
        "Nothing was stored: %(n)d row is wrong. Line %(line)d: %(reason)s",
        "Nothing was stored: %(n)d rows are wrong. The first is line %(line)d: %(reason)s",
        outcome.rejected,
    ) % {"n": outcome.rejected, "line": first["line"], "reason": first["reason"]}


def _reader(path: Path, project: Project, args: dict[str, Any]) -> Callable[[], Rows]:
    """A function that reads the table anew each time."""
    source = detect_source(args["name"], args["content_type"], args["encoding"])
    if project.schema is None:
        raise JobFailedError(_("The project has no label schema yet."), result=Outcome().as_result())
    compiled = project.schema.compiled
    return lambda: _read_table(path, source, compiled, args["text_column"])


def _read_table(path: Path, source: Source, compiled: Compiled, text_column: str) -> Rows:
    for line, raw in read_rows(path, source):
        if isinstance(raw, RowProblem):
            yield line, raw
            continue
        try:
            yield line, parse_row(raw, compiled, text_column=text_column)
        except RowError as error:
            yield line, RowProblem(error.detail)


def _read_images(
    path: Path, archive_format: ArchiveFormat, compression: Compression | None, *, project: Project, images: set[str]
) -> Iterator[Any]:
    """Keep each image, then yield its row; the number is the file's place in the archive."""
    with MediaReader() as reader:
        for number, (inside, file) in enumerate(read_archive(path, archive_format, compression), start=1):
            try:
                with file.open("rb") as stream:
                    media, _is_new = add_media(project=project, source=stream, actor=None, reader=reader, is_image=True)
                images.add(media.sha256)
                yield number, make_image_row(inside, media.sha256)
            except TouchstoneError as error:
                yield number, RowProblem(f"{quote(inside)}: {error.detail}")


def _forget_images(running: RunningJob, images: set[str]) -> None:
    """Remove the images of a refused archive that this job brought, in whatever attempt."""
    new = Media.objects.filter(
        project=running.project, sha256__in=images, created_at__gte=running.job.created_at
    ).values_list("sha256", flat=True)
    if images and (names := list(new)):
        remove_unused_media(project=running.project, sha256=names)
