"""`manage.py derive_media PROJECT`."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandParser
from django.utils.translation import ngettext

from annotation.actions.derivatives import derive_again
from annotation.management.sentences import find_project


class Command(BaseCommand):
    """Have the worker try once more what it left out."""

    help = (
        "Have the worker look again at the files of which it left something out: thumbnails, waveforms, contact sheets."
        " For when ffmpeg was installed since."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what the command takes."""
        parser.add_argument("project", metavar="PROJECT")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the job, and say for how many files."""
        n = derive_again(project=find_project(options["project"]))
        self.stdout.write(ngettext("%(n)d file is looked at again.", "%(n)d files are looked at again.", n) % {"n": n})
