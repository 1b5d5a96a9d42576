"""How far one submission has come in a run, and what is written and told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from importer.ledger.records import Settlement
from importer.model import Outcome, Reply, State, Verb

if TYPE_CHECKING:
    from importer.model import Decision, MaybeSent, NotSent, Submission

_STATES: Final[dict[Verb, State]] = {
    Verb.CREATED: State.CREATED,
    Verb.DUPLICATE: State.DUPLICATE,
    Verb.REJECTED: State.REJECTED,
    Verb.DOUBTFUL: State.DOUBTFUL,
    Verb.UNSENT: State.UNSENT,
    Verb.AGAIN: State.PLANNED,
    Verb.STOP: State.UNSENT,
}


@dataclass(slots=True)
class Journey:
    """One submission on its way.

    Attributes:
        submission: what is to be sent.
        attempts: requests that were about to leave, so far.
        began: when the first of them was permitted, on the clock of the run.
        status: of the last answer; None where the last attempt had none.
        conversation_id: the same.
    """

    submission: Submission
    attempts: int = 0
    began: float = 0.0
    status: int | None = None
    conversation_id: str | None = None

    def begins(self, now: float) -> None:
        """Take note of another attempt; nothing of the one before is kept."""
        self.began = self.began if self.attempts else now
        self.attempts += 1
        self.status = self.conversation_id = None

    def answered(self, happened: Reply | NotSent | MaybeSent) -> None:
        """Keep what an answer says."""
        if isinstance(happened, Reply):
            self.status, self.conversation_id = happened.status, happened.conversation_id

    def settlement(self, decision: Decision, took_s: float) -> Settlement:
        """How its last attempt ended."""
        return Settlement(
            key=self.submission.key,
            state=_STATES[decision.verb],
            status=self.status,
            conversation_id=self.conversation_id,
            code=decision.code,
            message=decision.message,
            duration_s=took_s,
        )

    def outcome(self, decision: Decision) -> Outcome:
        """Where it stands after that decision."""
        return Outcome(
            key=self.submission.key,
            state=_STATES[decision.verb],
            attempts=self.attempts,
            status=self.status,
            conversation_id=self.conversation_id,
            code=decision.code,
            message=decision.message,
        )
