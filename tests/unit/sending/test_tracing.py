"""Spans of runs and attempts reach a collector if the environment names one."""

from __future__ import annotations

import os
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from importer.deliver import deliver
from importer.errors import SettingsError
from importer.sending.run_options import RunOptions
from importer.sending.tracing import open_traces, traced
from tests.support.builders import CREDENTIALS
from tests.support.project import GOOD, Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.sandbox.server import Sandbox

ROWS = [
    {**GOOD, "first_name": "Zebedee", "phone_number": f"+1 202 555 01{number:02}"}
    for number in range(3)
]


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Yield a collector on loopback: its address, and what it has received."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as above
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_a_run_and_its_attempts_are_spans(
    project: Project, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ids, numbers and codes; nothing of a person is in them."""
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        report = deliver(project.plan(ROWS), project.settings, RunOptions("a test", CREDENTIALS))
    assert len(sandbox.journal) == 3
    spans = [
        span
        for body in received
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    (run,) = [each for each in spans if each.name == "importer run"]
    attempts = [each for each in spans if each.name == "importer attempt"]
    facts = [{fact.key: fact.value for fact in each.attributes} for each in (run, *attempts)]
    assert facts[0]["importer.run"].string_value == report.run
    assert [each["importer.status"].int_value for each in facts[1:]] == [201] * 3
    assert {each.parent_span_id for each in attempts} == {run.span_id}
    everything = b"".join(received).lower()
    assert b"zebedee" not in everything
    assert b"202555" not in everything


@pytest.mark.parametrize(
    "environment", [{}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}]
)
def test_without_being_asked_nothing_is_traced(environment: dict[str, str]) -> None:
    """Nor is a package imported for it."""
    with open_traces(environment), traced("run", run="r") as span:
        assert span is None


def test_an_exporter_that_is_not_installed() -> None:
    """The message names those that are."""
    with (
        pytest.raises(SettingsError, match="'jaeger', which is not installed"),
        open_traces({**os.environ, "OTEL_TRACES_EXPORTER": "jaeger"}),
    ):
        pass
