"""Figures as text."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def with_interval(metrics: Mapping[str, Any], name: str) -> str:
    """Return a figure with its interval, e.g. "0.523 (0.480–0.566)".

    Args:
        figures: the value under `name`, and [low, high] under `name` + "_ci".
        name: of the figure.
    """
    low, high = metrics[f"{name}_ci"]
    return f"{metrics[name]:.3f} ({low:.3f}–{high:.3f})"


def mean_and_spread(values: Sequence[float]) -> str:
    """Return "mean ± standard deviation"; of one value, itself."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"
