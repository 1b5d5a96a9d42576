"""A night as metrics for Prometheus's textfile collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.report.atomic_file import replace_file
from importer.report.night_report import FileEnding
from importer.report.outcomes import OUTCOME_MEANING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from importer.report.night_report import NightReport


def write_metrics(night: NightReport, path: Path) -> None:
    """Writes the file, whole or not at all; raises ImporterError where it cannot be."""
    with replace_file(path) as out:
        out.write(metrics(night))
    path.chmod(0o644)  # the collector runs as somebody else; there is nothing private in it


def metrics(night: NightReport) -> str:
    """The text exposition format."""
    return "\n".join(_lines(night)) + "\n"


def _lines(night: NightReport) -> Iterator[str]:
    rows, problems, endings = night.rows, night.problems, night.endings
    sent, send_s = rows["created"], sum(file.send_s for file in night.files)
    yield from _gauge(
        "importer_night_rows",
        "Rows of the last night by what became of them.",
        ((f'outcome="{word}"', rows[word]) for word in OUTCOME_MEANING),
    )
    yield from _gauge(
        "importer_night_problems",
        "Problems of the last night by code.",
        ((f'code="{code}"', count) for code, count in sorted(problems.items())),
    )
    yield from _gauge(
        "importer_night_files",
        "Files of the last night by what became of them.",
        (
            (f'ending="{each.value}"', endings[each])
            for each in FileEnding
            if each != FileEnding.RELEASED
        ),
    )
    for name, about, value in (
        ("night_duration_seconds", "How long the last night took.", night.took_s),
        ("night_end_timestamp_seconds", "When the last night ended.", night.ended.timestamp()),
        ("night_exit_code", "How the last night ended.", float(night.exit_code.value)),
        ("doubtful_open", "Submissions that may have been accepted.", float(night.doubtful_open)),
        ("rate_limit_per_second", "Most requests a second, as set.", night.rate_per_s),
        ("night_rate_per_second", "Conversations a second while sending.", sent / (send_s or 1.0)),
    ):
        yield from _gauge(f"importer_{name}", about, [("", value)])
    if night.last_success is not None:
        yield from _gauge(
            "importer_last_success_timestamp_seconds",
            "When a night last ended with nothing for anybody to do but rejected rows.",
            [("", night.last_success.timestamp())],
        )


def _gauge(name: str, about: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} gauge"
    for label, value in values:
        yield f"{name}{{{label}}} {value:.15g}" if label else f"{name} {value:.15g}"
