"""Why a file is not read: raised anywhere on the way, caught once, shown as a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.codes import Code


class Refusal(Exception):
    """A file cannot be read as a whole.

    Args:
        code: the fault.
        detail: completes the code's message; no personal data.
    """

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail
