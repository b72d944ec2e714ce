"""`manage.py seed_demo`: make the demo projects complete. Run by `touchstone up` in the background."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    """Make the two demo projects, `community` and `digits`; what is there already stays."""

    help = "Make the two demo projects, community and digits; what is there already stays."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run every step; a step that is done says nothing."""
        from config.demo.seed import SeedError, seed

        try:
            seed(self.stdout.write)
        except SeedError as error:
            raise CommandError(str(error)) from error
