"""The job that makes thumbnails, blurred pictures, contact sheets and waveforms out of new files."""

from __future__ import annotations

import time

from annotation.actions.derivatives import KIND, end_derivation, find_waiting, keep_derivatives
from annotation.actions.jobs import is_other_work_waiting
from annotation.derivatives import make_derivatives
from annotation.errors import UnavailableError
from annotation.jobs import RunningJob, job_kind
from annotation.media import media_path
from annotation.media_reading import MediaReader

SLICE_SECONDS = 20.0
LOOK_SECONDS = 1.0  # how often it looks whether other work waits


@job_kind(KIND)
def run_derivation(running: RunningJob) -> None:
    """Look at the project's new files, for about 20 seconds, or 1 where other work waits; then another job goes on.

    The result is `{"made", "left_out"}`: files of which everything, or not everything, could be made. Each file is
    stored by itself, so an attempt goes on where the one before it was cut off.
    """
    project = running.project
    began = looked = time.monotonic()
    after, n_done, n_left_out = 0, 0, 0
    total = find_waiting(project).count()
    with MediaReader() as reader:
        while media := find_waiting(project).filter(pk__gt=after).first():
            after = media.pk
            try:
                derivation = make_derivatives(media_path(project.pk, media.sha256), media.mime, reader)
            except UnavailableError as error:
                raise RuntimeError("the reader of media is busy") from error  # tried again later
            if keep_derivatives(project=project, media=media, derivation=derivation, check=running.check):
                n_done += 1
                n_left_out += bool(derivation.left_out)
            now = time.monotonic()
            if now - looked >= LOOK_SECONDS:
                looked = now
                running.progress(n_done, total)
                if now - began >= SLICE_SECONDS or is_other_work_waiting(KIND):
                    break
    result = {"made": n_done - n_left_out, "left_out": n_left_out}
    end_derivation(project=project, finish=lambda: running.finish(result))
