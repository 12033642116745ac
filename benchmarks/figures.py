"""A figure, and the table that shows many."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    :param subject: what was measured, such as the server's name. :param name: which value of it.
    :param goal: what it should be at most; with ``at_least``, at least.
    """

    subject: str
    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False


def table(runs: Sequence[Sequence[Figure]]) -> str:
    """Show the medians of several runs, with the lowest and highest value where there are more than one.

    :return: a Markdown table.
    """
    rows = [("What", "Median", "Lowest to highest", "Goal")]
    for column in zip(*runs, strict=True):
        first, values = column[0], [figure.value for figure in column]
        spread = f"{_shown(min(values))} to {_shown(max(values))}" if len(values) > 1 else ""
        rows.append(
            (
                f"{first.subject}: {first.name}",
                f"{_shown(statistics.median(values))} {first.unit}",
                spread,
                _goal(first),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'at least' if figure.at_least else 'at most'} {_shown(figure.goal)}"


def _shown(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
