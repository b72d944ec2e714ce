"""How Django knows this app."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks


class LearningConfig(AppConfig):
    """The app `learning`."""

    name = "learning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Read the events of items that came, were settled, or must go; look at what the installation names."""
        from annotation.events import subscribe
        from learning.consumers import CONSUMER, read_events

        subscribe(consumer=CONSUMER, handler=read_events)
        checks.register(check_sentence_model)


def check_sentence_model(**_: Any) -> list[checks.CheckMessage]:
    """Warn of a sentence model that was named and cannot be used on this host; labelling goes on without it."""
    from annotation.sentence_models import find_fault

    fault = find_fault() if settings.SENTENCE_MODEL else None
    return [checks.Warning(f"SENTENCE_MODEL: {fault}.", id="touchstone.W001")] if fault else []
