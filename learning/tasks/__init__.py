"""Work in the background: `snapshots` accepted labels become files, `schedules` what is due by the clock, `rounds`
train, score and choose, `promotion` puts a kept model in the place of the current one, `predictions` scores from
elsewhere, `llm` asks a language model, `comparison` judges models side by side, `embeddings` vectors from elsewhere,
`features` made ahead, `label_errors` labels that may be wrong, `drift` whether what came in is like what taught the
model.
"""

from learning.tasks import (
    comparison,
    drift,
    embeddings,
    features,
    label_errors,
    llm,
    predictions,
    promotion,
    rounds,
    schedules,
    snapshots,
)

__all__ = [
    "comparison",
    "drift",
    "embeddings",
    "features",
    "label_errors",
    "llm",
    "predictions",
    "promotion",
    "rounds",
    "schedules",
    "snapshots",
]
