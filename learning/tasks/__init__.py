"""Work in the background: `snapshots` accepted labels become files, `schedules` what is due by the clock, `rounds`
train, score and choose, `promotion` puts a kept model in the place of the current one, `predictions` scores from
elsewhere, `comparison` judges models side by side, `embeddings` vectors from elsewhere, `features` made ahead,
`label_errors` labels that may be wrong.
"""

from learning.tasks import (
    comparison,
    embeddings,
    features,
    label_errors,
    predictions,
    promotion,
    rounds,
    schedules,
    snapshots,
)

__all__ = [
    "comparison",
    "embeddings",
    "features",
    "label_errors",
    "predictions",
    "promotion",
    "rounds",
    "schedules",
    "snapshots",
]
