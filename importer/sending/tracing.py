"""Traces for OpenTelemetry: one span for a run, and one for each attempt in it.

They are off unless the standard variables ask for them (`OTEL_EXPORTER_OTLP_ENDPOINT` or
`OTEL_TRACES_EXPORTER`) and the extra `traces` is installed. A span has ids of runs, numbers and
codes; nothing in it says who was contacted. If the collector is away, sending goes on.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from importer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer


_NAME: Final = "importer"
_EXPORTERS: Final = "opentelemetry_traces_exporter"
"""The entry points under which OpenTelemetry's packages offer their exporters."""

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OTLP: Final = "otlp_proto_http"
_SHORTER: Final = {"otlp": _OTLP}

_TRACER: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


@contextmanager
def open_traces(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Make spans while the context lasts, if the environment asks for them; export them at its end.

    Args:
        environment: the variables of OpenTelemetry.

    Raises:
        SettingsError: they are wanted, and the extra or the exporter is not installed.
    """
    names = _wanted(environment)
    if not names or _TRACER.get() is not None:
        yield
        return
    provider = _make_provider(names, environment)
    before = _TRACER.set(provider.get_tracer(_NAME))
    try:
        yield
    finally:
        _TRACER.reset(before)
        provider.shutdown()


@contextmanager
def traced(name: str, **facts: str | int) -> Iterator[Span | None]:
    """Do something within a span; None is given if there are no traces.

    Args:
        name: what is done, such as `run` or `attempt`.
        facts: of it; never of a person.
    """
    tracer = _TRACER.get()
    if tracer is None:
        yield None
        return
    attributes = {f"{_NAME}.{fact}": value for fact, value in facts.items()}
    with tracer.start_as_current_span(
        f"{_NAME} {name}",
        attributes=attributes,
        record_exception=False,  # its text might name a row
        set_status_on_exception=False,
    ) as span:
        yield span


def add_facts(span: Span | None, **facts: str | int | None) -> None:
    """Add what is known by now; unknown facts (None) are left out."""
    if span is not None:
        known = {name: value for name, value in facts.items() if value is not None}
        span.set_attributes({f"{_NAME}.{name}": value for name, value in known.items()})


def _wanted(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters that the environment asks for."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return []
    named = environment.get("OTEL_TRACES_EXPORTER", "")
    if not named and any(environment.get(each) for each in _ENDPOINTS):
        named = _OTLP
    names = [name.strip() for name in named.split(",")]
    return [_SHORTER.get(name, name) for name in names if name not in {"", "none"}]


def _make_provider(names: list[str], environment: Mapping[str, str]) -> TracerProvider:
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
    except ImportError as missing:
        raise SettingsError(
            f"Traces need a package that is not installed ({missing.name}).",
            "Install the extra (pip install '.[traces]'), or unset the OTEL_ variables.",
        ) from missing
    _say_once()
    named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": _NAME}))
    offered = {each.name: each for each in entry_points(group=_EXPORTERS)}
    for name in names:
        if name not in offered:
            raise SettingsError(
                f"OTEL_TRACES_EXPORTER names {name!r}, which is not installed.",
                f"Installed: {', '.join(sorted(offered))}.",
            )
        provider.add_span_processor(BatchSpanProcessor(offered[name].load()()))
    return provider


class _SaidOnce(logging.Handler):
    """Says the first fault of an exporter in one line, and no other one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        if not self._said:
            self._said = True
            sys.stderr.write(f"Traces cannot be exported: {record.getMessage()[:200]}\n")


def _say_once() -> None:
    logger = logging.getLogger("opentelemetry")
    if not logger.handlers:
        logger.addHandler(_SaidOnce())
        logger.propagate = False
