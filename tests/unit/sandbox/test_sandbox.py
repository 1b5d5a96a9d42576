"""The request quota of the sandbox, and its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.sandbox.server import Quota, SandboxOptions, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx


def test_a_window_takes_what_it_may() -> None:
    """The first request opens it, and after a second it opens again."""
    now = iter([10.0, 10.1, 10.2, 10.99, 11.0, 11.5, 12.5])
    quota = Quota(2, lambda: next(now))
    assert [quota.take() for _ in range(7)] == [1, 0, -1, -1, 1, 0, 1]


def test_what_is_left_is_said() -> None:
    """Whole seconds to the next window, never less than none left."""
    times = iter([10.0, 10.4, 10.4])
    quota = Quota(2, lambda: next(times))
    assert dict(quota.headers(quota.take())) == {
        b"x-ratelimit-limit": b"2",
        b"x-ratelimit-remaining": b"1",
        b"x-ratelimit-reset": b"1",
    }
    assert dict(quota.headers(-1))[b"x-ratelimit-remaining"] == b"0"


def test_a_sandbox_keeps_its_quota(client: Callable[..., httpx.Client]) -> None:
    """What is over it is a 429 with Retry-After, counted like the rest; a fault can come too."""
    with (
        start_sandbox(SandboxOptions(faults="limit:3,list-500:1")) as sandbox,
        client(sandbox.base_url) as api,
    ):
        answers = [api.get("/conversations") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [500, 500, 500, 429, 429]
        assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == list("21000")
        assert answers[3].headers["retry-after"] == "1"
        assert "error" in answers[3].json()
        sandbox.set_faults("")
        assert api.get("/conversations").status_code == 200
        assert sandbox.requests == 6
