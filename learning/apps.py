"""How Django knows this app."""

from django.apps import AppConfig


class LearningConfig(AppConfig):
    """The app `learning`."""

    name = "learning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Read the events of items that came, were settled, or must go."""
        from annotation.events import subscribe
        from learning.consumers import CONSUMER, read_events

        subscribe(consumer=CONSUMER, handler=read_events)
