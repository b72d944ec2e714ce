"""What an item's answers say it is: shares of classes, which a model learns from in the place of one label."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# How much of an item goes by its votes; the rest goes to its label. Two votes of three for a label then make it five
# sixths likely, about what people are worth who are right in four of five answers.
VOTES_SHARE = 0.5


def believe(y: ArrayLike, votes: ArrayLike) -> NDArray[np.float64]:
    """How likely each class is for each item, by its label and its votes.

    Parameters
    ----------
    y : array-like of int, (n_items,)
        Accepted codes.
    votes : array-like of int, (n_items, n_classes)
        Answers for each class; a row of zeros where a person decided, whose word counts alone.

    Returns
    -------
    ndarray, (n_items, n_classes)
        Rows sum to 1.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> believe([0, 1, 1], [[3, 0], [1, 2], [0, 0]]).round(3).tolist()
    [[1.0, 0.0], [0.167, 0.833], [0.0, 1.0]]
    """
    codes, counts = np.asarray(y, np.int64), np.asarray(votes, np.float64)
    if counts.ndim != 2 or codes.shape != counts.shape[:1]:
        raise ValueError(f"{codes.shape} labels do not fit {counts.shape} votes")
    n_votes = counts.sum(axis=1, keepdims=True)
    beliefs = np.zeros(counts.shape)
    np.divide(VOTES_SHARE * counts, n_votes, out=beliefs, where=n_votes > 0)
    beliefs[np.arange(len(codes)), codes] += np.where(n_votes.ravel() > 0, 1 - VOTES_SHARE, 1)
    return beliefs
