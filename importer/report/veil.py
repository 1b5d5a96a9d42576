"""Personal values as a terminal may show them."""

from __future__ import annotations


def veiled(value: str) -> str:
    """The value with all but its last two characters hidden."""
    return f"••••{value[-2:]}" if len(value) > 4 else "••••"  # noqa: PLR2004
