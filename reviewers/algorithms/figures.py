"""`Figure`: how a measured number travels, from the mathematics to a page or the API.

A metric is never a bare number. It carries its interval, its method and what it rests on, or a named refusal that says
why there is no number. What computes the figures lives elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One metric with all that a reader needs to weigh it.

    Parameters
    ----------
    metric : str
        Stable name, such as ``"alpha_nominal"``; the unit is the metric's own (most are shares, 0 to 1).
    value : float or None
        None exactly where `refusal` says why.
    interval : (float, float) or None
        Lower and upper end at `level`; None where no interval can be stated.
    level : float
        Confidence level of the interval, between 0 and 1.
    method : str
        How value and interval were computed, for people: ``"percentile bootstrap over items, 1000 resamples"``.
    n_items, n_labels : int
        What the value rests on (not what was looked at and dropped).
    n_annotators : int or None
        None where annotators are not known, as in data that holds counts only.
    refusal : str or None
        Why there is no value: ``"only 1 class occurs"``.
    prevalence : tuple of float or None
        Share of each value code among the labels that the figure rests on, where that is known. It has a code per
        value of the question and no names, so it is not part of `as_dict`; who shows it adds the names.

    Raises
    ------
    ValueError
        If there are both a value and a refusal, or neither.

    Examples
    --------
    >>> figure = Figure(metric="accuracy", value=0.9, interval=(0.83, 0.94), method="Wilson", n_items=100, n_labels=100)
    >>> figure.as_dict()["interval"]
    [0.83, 0.94]
    >>> Figure.refused("alpha_nominal", "only 1 class occurs", n_items=4, n_labels=8).as_dict()["refusal"]
    'only 1 class occurs'
    """

    metric: str
    value: float | None
    method: str
    n_items: int
    n_labels: int
    n_annotators: int | None = None
    interval: tuple[float, float] | None = None
    level: float = 0.95
    refusal: str | None = None
    prevalence: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.refusal is None):
            raise ValueError(f"{self.metric}: a figure has either a value or a refusal, not both or neither")

    @classmethod
    def refused(
        cls,
        metric: str,
        refusal: str,
        *,
        n_items: int,
        n_labels: int,
        n_annotators: int | None = None,
        method: str = "none",
        level: float = 0.95,
        prevalence: tuple[float, ...] | None = None,
    ) -> Figure:
        """The figure that says why there is no number."""
        return cls(
            metric=metric,
            value=None,
            method=method,
            n_items=n_items,
            n_labels=n_labels,
            n_annotators=n_annotators,
            level=level,
            refusal=refusal,
            prevalence=prevalence,
        )

    def as_dict(self) -> dict[str, Any]:
        """The shape in which the API shows a metric; plain Python types, ready for JSON."""
        return {
            "metric": self.metric,
            "value": None if self.value is None else float(self.value),
            "interval": None if self.interval is None else [float(end) for end in self.interval],
            "level": self.level,
            "method": self.method,
            "n_items": int(self.n_items),
            "n_labels": int(self.n_labels),
            "n_annotators": None if self.n_annotators is None else int(self.n_annotators),
            "refusal": self.refusal,
        }
