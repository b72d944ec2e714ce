"""What can go wrong with an embedded server."""


class EmbeddedError(Exception):
    """A server could not be found, made or started; the message says why and what to do."""
