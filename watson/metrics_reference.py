"""Writes docs/metrics.md from the table in the code: ``python -m watson.metrics_reference > docs/metrics.md``."""

from __future__ import annotations

from watson import metrics

__all__ = ["metrics_reference"]

_HEAD = """# Metrics

Every worker serves these at `/metrics`, in Prometheus' text format, beside those of its process and of Python. Made
from the table in `watson/metrics.py` by `python -m watson.metrics_reference > docs/metrics.md`.
[Operations](operations.md#metrics-dashboards-alerts) says how to use them.
"""


def metrics_reference() -> str:
    """The page, in Markdown."""
    lines = [_HEAD, "| metric | kind | unit | labels | meaning |", "|---|---|---|---|---|"]
    for row in metrics.TABLE.values():
        labels = ", ".join(f"`{label}`" for label in row.labels)
        lines.append(f"| `{row.name}` | {row.kind} | {row.unit} | {labels} | {row.help} |")
    lines += ["", "## Labels", "", "| label | values |", "|---|---|"]
    for label, values in metrics.LABELS.items():
        said = values if isinstance(values, str) else ", ".join(f"`{value}`" for value in values)
        lines.append(f"| `{label}` | {said} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(metrics_reference(), end="")  # noqa: T201 - the command's output
