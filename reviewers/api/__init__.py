"""The reviewers' routes of the API."""
