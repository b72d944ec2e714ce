"""How Django knows this app."""

from django.apps import AppConfig


class ReviewersConfig(AppConfig):
    """The app `reviewers`."""

    name = "reviewers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Read the events of erased items and of late answers; count votes as they come."""
        from annotation.events import subscribe
        from reviewers.consumers import CONSUMER, VOTES, read_events, read_votes

        subscribe(consumer=CONSUMER, handler=read_events)
        subscribe(consumer=VOTES, handler=read_votes)
