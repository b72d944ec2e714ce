"""By what a language model is judged before anything that it says is shown: answers that are known already.

Gold answers, which items came with; where they are few, accepted labels of the holdout beside them. An item about which
no answer was accepted counts as answered wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.kinds import KINDS, Question
from annotation.models import Item, Project
from learning.loading import load_holdout
from learning.questions import classes_of
from reviewers.algorithms.intervals import wilson

MIN_JUDGED = 50
MOST_JUDGED = 300
FEW_GOLD = 100


@dataclass(frozen=True, eq=False)
class Known:
    """Items whose answer is known: ids, codes of their choices, and how many of them (the first) are gold."""

    items: NDArray[np.int64]
    y: NDArray[np.int64]
    n_gold: int


def load_gold(project: Project, question: Question) -> dict[int, int]:
    """Item -> code of the gold answers to a question, in the order of the ids, which is random. Open items alone."""
    number, codes = str(question["id"]), {choice: code for code, choice in enumerate(classes_of(question))}
    rows = Item.objects.filter(
        project=project, gold__has_key=number, lifecycle=Item.Lifecycle.OPEN, imported_by__is_visible=True
    )
    column = KINDS[question["kind"]].COLUMN
    found = ((pk, (gold or {})[number].get(column)) for pk, gold in rows.order_by("pk").values_list("pk", "gold"))
    return {pk: codes[choice] for pk, choice in found if choice in codes}


def load_known(project: Project, question: Question) -> Known:
    """All that a model may be judged by: gold first, and the holdout's labels where there is little gold."""
    gold = load_gold(project, question)
    items, y = list(gold), list(gold.values())
    if len(gold) < FEW_GOLD:
        holdout = load_holdout(project, question)
        for item, code in zip(holdout.items.tolist(), holdout.y.tolist(), strict=True):
            if item not in gold:
                items.append(item)
                y.append(code)
    return Known(np.array(items, np.int64), np.array(y, np.int64), len(gold))


def decide(y: NDArray[np.int64], said: NDArray[np.int64], bar: float, n_gold: int) -> dict[str, Any]:
    """Whether a model passes: `said` are its answers to items whose answer is `y`, -1 where it gave none.

    `{"passed", "reason", "accuracy", "interval", "n_items", "n_gold", "n_failed", "bar", "commonest"}`. It passes where
    the lower end of its accuracy's 95 % interval (Wilson) is at least `bar`, and above the share of the commonest
    answer, which whoever always gives that one reaches. With fewer than 50 items there is no telling, and it does not.
    """
    n, n_right = len(y), int((y == said).sum())
    low, high = wilson(n_right, n) if n else (0.0, 1.0)
    commonest = float(np.bincount(y).max() / n) if n else 0.0
    if n < MIN_JUDGED:
        reason = _("only %(n)d items with text have a known answer (%(gold)d gold), %(needed)d needed") % {
            "n": n,
            "gold": n_gold,
            "needed": MIN_JUDGED,
        }
    elif low < bar:
        reason = _("the lower end of its accuracy's interval is below the %(bar).2f that this project asks for")
        reason %= {"bar": bar}
    elif low <= commonest:
        reason = _("one that always gave the commonest answer would be right on %(share).2f of them")
        reason %= {"share": commonest}
    else:
        reason = ""
    return {
        "passed": not reason,
        "reason": reason,
        "accuracy": n_right / n if n else None,
        "interval": [low, high] if n else None,
        "n_items": n,
        "n_gold": n_gold,
        "n_failed": int((said < 0).sum()),
        "bar": bar,
        "commonest": commonest,
    }
