"""`manage.py import_items PROJECT FILE`: the same job as an upload, carried out here."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.utils.translation import gettext as _

from annotation import job_kinds, jobs
from annotation.actions.imports import Outcome, start_import
from annotation.actions.projects import create_project
from annotation.management.sentences import find_person, find_project, plain_errors
from annotation.models import Job, Project, User
from annotation.plain_text import quote
from annotation.strict_json import StrictJsonError, parse_json

__all__ = ["Command", "job_kinds"]  # the kinds must be registered for a job to run here

SHOWN_EVERY_SECONDS = 0.5
ENDED = (Job.State.DONE, Job.State.FAILED, Job.State.DEAD)


class Command(BaseCommand):
    """Bring a file's rows in, on the terminal's authority."""

    help = (
        "Import a file of rows (.jsonl, .csv, .tsv, .parquet, each also .gz or .xz) or an archive of images"
        " (.zip, .tar, .tar.gz, .tar.xz). The last line on standard output is the counts as JSON."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what the command takes."""
        parser.add_argument("project", metavar="PROJECT")
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--create", action="store_true", help="make the project first, unless it is there")
        parser.add_argument("--schema", type=Path, metavar="SCHEMA.json", help="the label schema, for --create")
        parser.add_argument("--owner", metavar="NAME", help="who owns it, for --create (default: the oldest superuser)")
        parser.add_argument("--partial", action="store_true", help="store the good rows where others are wrong")
        parser.add_argument("--update-metadata", action="store_true", help="new metadata for items that are there")
        parser.add_argument("--text-column", default="text", metavar="COL", help="the column that is the text")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the job, see it through, and report."""
        file: Path = options["file"]
        if not file.is_file():
            raise CommandError(_("There is no file %(name)s.") % {"name": quote(file)})
        if not options["create"] and (options["schema"] or options["owner"]):
            raise CommandError(_("--schema and --owner belong to --create."))
        project = self._make_project(options) if options["create"] else find_project(options["project"])
        path = take_in(file)
        try:
            with plain_errors():
                job = start_import(
                    project=project,
                    actor=None,
                    path=path,
                    name=file.name,
                    partial=options["partial"],
                    update_metadata=options["update_metadata"],
                    text_column=options["text_column"],
                )
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        with quiet_log(), show_progress(job.pk):
            job = see_through(job.pk)
        self._report(job)

    def _make_project(self, options: dict[str, Any]) -> Project:
        slug: str = options["project"]
        found = Project.objects.select_related("schema").filter(slug=slug).first()
        if found is not None:
            self.stderr.write(_("The project %(slug)s is there; it is used as it is.") % {"slug": slug})
            return found
        if options["schema"] is None:
            raise CommandError(_("--create needs --schema SCHEMA.json: the questions to ask."))
        schema = read_schema(options["schema"])
        owner = find_person(options["owner"]) if options["owner"] else oldest_superuser()
        with plain_errors():
            return create_project(slug=slug, name=slug, schema=schema, owner=owner)

    def _report(self, job: Job) -> None:
        result: dict[str, Any] = job.result or Outcome().as_result()
        for error in result["errors"]:
            self.stderr.write(_("line %(line)d: %(reason)s") % error)
        if result["rejected"] > len(result["errors"]):
            self.stderr.write(_("and %(n)d more") % {"n": result["rejected"] - len(result["errors"])})
        self.stdout.write(json.dumps({name: result[name] for name in ("imported", "unchanged", "rejected")}))
        if job.state != Job.State.DONE:
            raise CommandError(job.error)


def read_schema(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises CommandError."""
    try:
        schema = parse_json(path.read_bytes())
    except OSError as error:
        raise CommandError(
            _("%(name)s cannot be read: %(reason)s.") % {"name": quote(path), "reason": error.strerror}
        ) from error
    except StrictJsonError as error:
        raise CommandError(_("%(name)s: %(reason)s") % {"name": quote(path), "reason": error}) from error
    if not isinstance(schema, dict):
        raise CommandError(_("%(name)s does not hold a JSON object.") % {"name": quote(path)})
    return schema


def oldest_superuser() -> User:
    """Who owns a project that nobody was named for. Raises CommandError."""
    owner = User.objects.filter(is_superuser=True, is_active=True, kind=User.Kind.PERSON).order_by("pk").first()
    if owner is None:
        raise CommandError(
            _("Nobody can own the project yet. Name a person with --owner, or make one: create_user NAME --superuser.")
        )
    return owner


def take_in(file: Path) -> Path:
    """A copy in UPLOAD_DIR, which the job removes; a second name of the same file where the disk is the same."""
    folder = Path(settings.UPLOAD_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / secrets.token_hex(16)
    try:
        os.link(file.resolve(), path)
    except OSError:
        with (
            file.open("rb") as source,
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
        ):
            shutil.copyfileobj(source, out)
    return path


def see_through(job_id: int) -> Job:
    """Carry the job out here, or wait where a worker was quicker or another import comes first. Returns it ended."""
    while True:
        jobs.run_job(job_id)
        job = Job.objects.get(pk=job_id)
        if job.state in ENDED:
            return job
        time.sleep(SHOWN_EVERY_SECONDS)


@contextlib.contextmanager
def quiet_log() -> Iterator[None]:
    """A worker's log says when a job begins and how it ends; on a terminal the command itself does."""
    logger = logging.getLogger("annotation")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def show_progress(job_id: int) -> Iterator[None]:
    """Show on a terminal how far the job is, for the duration of a `with` block; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_show, args=(job_id, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.stderr.write("\r\033[K")


def _show(job_id: int, stop: threading.Event) -> None:
    try:
        while not stop.wait(SHOWN_EVERY_SECONDS):
            job = Job.objects.get(pk=job_id)
            text = _("%(done)s of %(total)s rows") if job.total else _("%(done)s rows")
            sys.stderr.write("\r\033[K" + text % {"done": f"{job.done:,}", "total": f"{job.total or 0:,}"})
            sys.stderr.flush()
    finally:
        connection.close()
