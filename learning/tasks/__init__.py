"""Work in the background: `snapshots` accepted labels become files, `schedules` what is due by the clock, `rounds`
train, score and choose, `predictions` scores from elsewhere.
"""

from learning.tasks import predictions, rounds, schedules, snapshots

__all__ = ["predictions", "rounds", "schedules", "snapshots"]
