"""What every benchmark prints: one JSON object per figure, medians with their range."""

import json
import statistics
from collections.abc import Sequence
from typing import Any


def show(
    bench: str,
    figure: str,
    values: Sequence[float],
    unit: str,
    *,
    floors: Sequence[float] = (),
    at_least: float | None = None,
    at_most: float | None = None,
    **conditions: Any,
) -> bool:
    """Print a figure: the median of the runs' values, and of their ratios to the floors of the same runs.

    floors: one per value, measured right before or after it; empty where there is none.
    at_least, at_most: the target, for the ratio where there are floors, else for the value.
    Returns whether the target is met.
    """
    line: dict[str, Any] = {"bench": bench, "figure": figure, **conditions}
    line |= {"unit": unit, "runs": len(values), "median": _round(statistics.median(values))}
    line["range"] = [_round(min(values)), _round(max(values))]
    judged = statistics.median(values)
    if floors:
        ratios = [
            value / floor if floor else float("inf") for value, floor in zip(values, floors, strict=True)
        ]
        judged = statistics.median(ratios)
        line["floor"] = _round(statistics.median(floors))
        line["ratio"] = _round(judged)
        line["ratio_range"] = [_round(min(ratios)), _round(max(ratios))]
    is_met = True
    for name, limit in (("at_least", at_least), ("at_most", at_most)):
        if limit is not None:
            is_met = judged >= limit if name == "at_least" else judged <= limit
            line |= {name: limit, "is_met": is_met}
    print(json.dumps(line), flush=True)
    return is_met


def _round(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")
