"""Which state may follow which: the rules that keep anybody from being contacted twice.

    planned -> sending -> created | duplicate | rejected | doubtful | unsent | planned again
    doubtful -> created (found)  | planned (proved absent, or a person says so)
    planned | unsent | rejected (with another body, or told to retry) -> planned, by a later run

No road leads from created or duplicate to anywhere.
"""

from __future__ import annotations

from typing import Final

from importer.model import State

SENDABLE: Final = frozenset({State.PLANNED, State.UNSENT})
"""A request may leave for these, after an intent."""

OPEN: Final = frozenset({State.SENDING, State.DOUBTFUL})
"""A request left, and its end is not known."""

REACHED: Final = frozenset({State.CREATED, State.DUPLICATE, State.SENDING, State.DOUBTFUL})
"""The person was contacted, or may have been."""

_AFTER_SENDING: Final = frozenset(State) - {State.SENDING}
_NEVER_LEFT: Final = frozenset({State.UNSENT, State.REJECTED})
_LATE: Final = frozenset({State.CREATED, State.DUPLICATE})


def may_settle(now: State, then: State) -> bool:
    """Whether the end of an attempt may move a submission from one state to another.

    A clear answer that comes late still counts: it may turn `doubtful` into the truth. Whoever
    stops trying, or must not write to somebody any more, may say so of what never left.
    """
    if now is State.SENDING:
        return then in _AFTER_SENDING
    if now is State.DOUBTFUL:
        return then in _LATE
    return now in SENDABLE and then in _NEVER_LEFT


def as_seen(state: State) -> State:
    """What a reader should take a stored state for: an attempt without an end is doubtful."""
    return State.DOUBTFUL if state is State.SENDING else state
