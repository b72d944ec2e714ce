"""How Django knows the installation itself: its management commands and checks."""

from django.apps import AppConfig
from django.core import checks

from config.health import check_durability


class ConfigConfig(AppConfig):
    """The app `config`: no models, the commands that concern the whole installation."""

    name = "config"

    def ready(self) -> None:
        """Register the check that an acknowledged answer is on disk (runs with `migrate` and `check --database`).

        The Celery application is imported so that tasks sent from any process go through it.
        """
        import config.celery  # noqa: F401

        checks.register(check_durability, checks.Tags.database)
