"""Work in the background: `snapshots` accepted labels become files, `schedules` what is due by the clock, `rounds`
train, score and choose, `predictions` scores from elsewhere, `label_errors` labels that may be wrong.
"""

from learning.tasks import label_errors, predictions, rounds, schedules, snapshots

__all__ = ["label_errors", "predictions", "rounds", "schedules", "snapshots"]
