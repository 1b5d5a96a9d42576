"""The numbers of a ledger in Prometheus's text format: counts, nothing personal.

The page serves them under `/metrics`; `importer jobs --metrics` prints them, for a textfile
collector. They are read when they are asked for, so any machine shows the numbers of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge, Info, generate_latest

from importer.ledger.records import ListState
from importer.model import State

if TYPE_CHECKING:
    from importer.ledger import Ledger


_SHOWN: Final = 12
"""Characters of the organization's keyed hash that are shown: enough to tell ledgers apart."""

_RUNS: Final = 100
"""Unfinished runs among this many newest ones are shown one by one."""


def render_metrics_of_ledger(ledger: Ledger) -> bytes:
    """Return the numbers of a ledger.

    Raises:
        LedgerError: it cannot be read.
    """
    registry = CollectorRegistry()
    owner = Info("importer_ledger", "Whose ledger it is: a keyed hash.", registry=registry)
    owner.info({"organization": (ledger.organization or "")[:_SHOWN]})
    _add_submissions(registry, ledger)
    lists = Gauge("importer_lists", "Uploaded lists by state.", ["state"], registry=registry)
    found = ledger.lists.count_states()
    for each in ListState:
        lists.labels(each.value).set(found.get(each, 0))
    sessions = Gauge("importer_page_sessions", "People who are signed in.", registry=registry)
    sessions.set(len(ledger.sessions.list()))
    _add_senders(registry, ledger)
    return generate_latest(registry)


def _add_submissions(registry: CollectorRegistry, ledger: Ledger) -> None:
    """Add submissions by state: of all runs, and of each unfinished run."""
    submissions = Gauge(
        "importer_submissions", "Submissions by state.", ["state"], registry=registry
    )
    counts = ledger.submissions.count_states()
    for state in State:
        submissions.labels(state.value).set(counts.get(state, 0))
    of_run = Gauge(
        "importer_run_submissions",
        "Submissions of each unfinished run by state.",
        ["run", "state"],
        registry=registry,
    )
    for run in ledger.runs.list(_RUNS):
        if run.finished is None:
            for state, count in ledger.runs.states(run.id, live=True).items():
                of_run.labels(run.id, state.value).set(count)


def _add_senders(registry: CollectorRegistry, ledger: Ledger) -> None:
    """Add who sends, and how fast; on a server only."""
    overview = ledger.senders.overview()
    live = sum(each.is_live for each in overview.senders)
    senders = Gauge(
        "importer_senders",
        "Senders that renew their lease (live), or that may be frozen, and go on (silent).",
        ["state"],
        registry=registry,
    )
    senders.labels("live").set(live)
    senders.labels("silent").set(len(overview.senders) - live)
    left = Gauge(
        "importer_unanswered",
        "Rows that senders left without an answer; a person may have to say that one has ended.",
        registry=registry,
    )
    left.set(sum(each.doubtful for each in overview.senders if not each.is_live))
    if overview.rate is not None:
        rate = Gauge(
            "importer_rate_per_second",
            "Requests a second that all senders together may make.",
            registry=registry,
        )
        rate.set(overview.rate)
        held = Gauge(
            "importer_rate_held_seconds",
            "How long nobody sends, because the API asked for it.",
            registry=registry,
        )
        until = overview.held_until
        held.set(0 if until is None else max((until - ledger.now()).total_seconds(), 0))
