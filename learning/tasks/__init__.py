"""Work in the background: `snapshots` accepted labels become files, `schedules` what is due by the clock, `rounds`
train, score and choose, `predictions` scores from elsewhere, `features` words counted ahead.
"""

from learning.tasks import features, predictions, rounds, schedules, snapshots

__all__ = ["features", "predictions", "rounds", "schedules", "snapshots"]
