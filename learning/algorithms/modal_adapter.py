"""modAL 0.4.2.1 on today's scikit-learn: the one place that imports it.

Three things stand between the two, and each goes when modAL no longer needs it (the tests tell):

- `teach` passes `force_all_finite` to scikit-learn's checks, which 1.8 renamed to `ensure_all_finite`;
- its measures want a classifier, while we have stored probabilities (from our models or from elsewhere);
- importing it imports torch where that is installed: two seconds and much memory for an isinstance check.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_X_y

FloatArray = NDArray[np.float64]


def measure(name: str, proba: FloatArray) -> FloatArray:
    """One of modAL's measures of uncertainty over stored probabilities.

    Parameters
    ----------
    name : {"classifier_uncertainty", "classifier_margin", "classifier_entropy"}
        A public function of `modAL.uncertainty`.
    proba : ndarray, (n_items, n_classes)

    Returns
    -------
    ndarray, (n_items,)
        As modAL defines it: for the margin, small is uncertain.
    """
    function: Callable[..., FloatArray] = getattr(load_modal("modAL.uncertainty"), name)
    return function(_Stored(), proba)


def measure_committee(name: str, committee: FloatArray) -> FloatArray:
    """One of modAL's measures of disagreement over the stored probabilities of several models.

    Parameters
    ----------
    name : {"vote_entropy", "consensus_entropy"}
        A public function of `modAL.disagreement`.
    committee : ndarray, (n_members, n_items, n_classes)

    Returns
    -------
    ndarray, (n_items,)
    """
    function: Callable[..., FloatArray] = getattr(load_modal("modAL.disagreement"), name)
    return function(_StoredCommittee(committee), committee[0])


def load_modal(module: str) -> Any:
    """Import a module of modAL in working order; the same module object each time."""
    _import_without_torch("modAL")
    learners = importlib.import_module("modAL.models.learners")
    if "force_all_finite" not in inspect.signature(check_X_y).parameters:
        learners.check_X_y = _check_X_y  # type: ignore[attr-defined]
    return importlib.import_module(module)


class _Stored:
    """Stands in for a fitted classifier whose input is its output."""

    def predict_proba(self, proba: FloatArray) -> FloatArray:
        return proba


class _StoredCommittee:
    """Stands in for fitted models whose probabilities are known."""

    def __init__(self, committee: FloatArray) -> None:
        self.committee = committee
        self.classes_ = range(committee.shape[2])

    def __len__(self) -> int:
        return len(self.committee)

    def vote(self, _X: FloatArray) -> NDArray[np.int64]:
        return np.asarray(self.committee.argmax(axis=2).T, np.int64)

    def predict_proba(self, _X: FloatArray) -> FloatArray:
        return np.asarray(self.committee.mean(axis=0))


@functools.wraps(check_X_y)
def _check_X_y(*args: Any, force_all_finite: bool = True, **kwargs: Any) -> Any:
    return check_X_y(*args, ensure_all_finite=force_all_finite, **kwargs)


def _import_without_torch(module: str) -> None:
    """modAL tries torch and goes on without it where the import fails; a None in `sys.modules` makes it fail."""
    if module in sys.modules or "torch" in sys.modules:
        importlib.import_module(module)
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        importlib.import_module(module)
    finally:
        del sys.modules["torch"]
