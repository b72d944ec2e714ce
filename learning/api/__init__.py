"""Learning's routes of the API."""
