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
_ALIASES: Final = {"otlp": _OTLP}

_TRACER: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


@contextmanager
def open_traces(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Make spans while the context lasts, if the environment asks for them; export them at its end.

    Args:
        environment: the variables of OpenTelemetry.

    Raises:
        SettingsError: they are wanted, and the extra or the exporter is not installed.
    """
    names = _list_exporters(environment)
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
    """Make a span for what the context does; yield None if traces are off.

    Args:
        name: the name of the span, such as `run` or `attempt`.
        facts: its attributes; never personal data.
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
    """Add attributes to a span; unknown facts (None) are left out."""
    if span is not None:
        known = {name: value for name, value in facts.items() if value is not None}
        span.set_attributes({f"{_NAME}.{name}": value for name, value in known.items()})


def _list_exporters(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters that the environment asks for."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return []
    named = environment.get("OTEL_TRACES_EXPORTER", "")
    if not named and any(environment.get(each) for each in _ENDPOINTS):
        named = _OTLP
    names = [name.strip() for name in named.split(",")]
    return [_ALIASES.get(name, name) for name in names if name not in {"", "none"}]


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
    _log_first_warning()
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


class _FirstWarning(logging.Handler):
    """Prints the first warning of an exporter in one line, and no other one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print the first record."""
        if not self._said:
            self._said = True
            sys.stderr.write(f"Traces cannot be exported: {record.getMessage()[:200]}\n")


def _log_first_warning() -> None:
    """Let OpenTelemetry log one line only: a collector that is away would fill the screen."""
    logger = logging.getLogger("opentelemetry")
    if not logger.handlers:
        logger.addHandler(_FirstWarning())
        logger.propagate = False
