"""Traces: what became of a picture, across all processes. Off unless ``WATSON_OTLP_ENDPOINT`` names a collector.

A picture is a trace: it begins where discover finds it, and each stage that works on an event of it adds a span. The
context travels in the header ``traceparent`` of the records (W3C Trace Context). Where nothing is traced nothing is
recorded; a context that a record came with still goes on with what is sent because of it, so that the traces of those
who do not trace Watson hold together.

Names and attributes follow OpenTelemetry's semantic conventions for messaging
(https://opentelemetry.io/docs/specs/semconv/messaging/kafka/); Watson's own begin with ``watson.``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from watson import __version__
from watson.errors import UserError
from watson.events import Record
from watson.settings import Settings

__all__ = ["HEADERS", "about", "configure_tracing", "consuming", "failed", "finding", "headers", "step"]

HEADERS = ("traceparent", "tracestate")
"""Of a record, where its context stands."""

_MOST_STATE = 512
"""Characters of ``tracestate`` that are passed on: W3C's least, and no stranger's header grows every record."""

_EXPORT_SECONDS = 5.0
_LAST_EXPORT_SECONDS = 3.0

_propagator = TraceContextTextMapPropagator()


def configure_tracing(settings: Settings, role: str) -> Callable[[], None]:
    """Send this process's spans to the collector that the settings name; called once, at the edge.

    The headers of the requests, certificates and the like come from OpenTelemetry's own variables
    (``OTEL_EXPORTER_OTLP_HEADERS``, …), more resource attributes from ``OTEL_RESOURCE_ATTRIBUTES``.

    Args:
        settings: ``otlp_endpoint`` and ``trace_share``.
        role: becomes ``service.name``: ``watson-<role>``.

    Returns:
        What to call at the end: it sends what is left, within three seconds.

    Raises:
        UserError: the packages for it are not installed.
    """
    if settings.otlp_endpoint is None:
        return lambda: None
    try:
        # Imported here: who does not trace need not have them.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - see above
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - see above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - see above
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415 - see above
    except ImportError as exc:
        raise UserError(
            f"WATSON_OTLP_ENDPOINT is set, but what traces need is not installed ({exc}): pip install 'watson[tracing]'"
        ) from exc
    resource = Resource.create({"service.name": f"watson-{role}", "service.version": __version__})
    provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(settings.trace_share))
    exporter = OTLPSpanExporter(f"{settings.otlp_endpoint}/v1/traces", timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    def end() -> None:
        # In a thread that may be left behind: a collector that is away must not keep a worker from ending.
        sending = threading.Thread(target=provider.shutdown, name="traces-end", daemon=True)
        sending.start()
        sending.join(_LAST_EXPORT_SECONDS)

    return end


@contextmanager
def consuming(role: str, record: Record) -> Iterator[Span]:
    """A role works on a record: a span that goes on with the record's trace. What is raised marks it as failed.

    What discover only takes note of makes no span: its context is passed on with what may be sent because of it.
    """
    if role == "discover" and record.topic != "manifests":
        token = attach(_context_of(record))
        try:
            yield trace.get_current_span()
        finally:
            detach(token)
        return
    with _tracer().start_as_current_span(
        f"{role} {record.topic}", _context_of(record), SpanKind.CONSUMER, attributes=_attributes(role, record)
    ) as span:
        if not span.is_recording():
            yield span
            return
        trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            yield span


@contextmanager
def finding(job: str, image_key: str) -> Iterator[None]:
    """Discover found a picture: the root of the picture's trace, linked to that of the job's manifest."""
    context = trace.get_current_span().get_span_context()
    with _tracer().start_as_current_span(
        "discover picture",
        Context(),  # a trace of its own: one for a job of a million pictures could not be looked at
        SpanKind.PRODUCER,
        attributes={"watson.role": "discover", "watson.job": job, "watson.image_key": image_key},
        links=[Link(context)] if context.is_valid else (),
    ):
        yield


@contextmanager
def step(name: str) -> Iterator[None]:
    """A part of the work on a record, as a span within the record's."""
    with _tracer().start_as_current_span(name):
        yield


def about(*, event_id: str, job: str | None, image_key: str | None) -> None:
    """Say of the present span which event it is about."""
    span = trace.get_current_span()
    if span.is_recording():
        said = {"messaging.message.id": event_id, "watson.job": job, "watson.image_key": image_key}
        span.set_attributes({name: value for name, value in said.items() if value is not None})


def failed(code: str, message: str) -> None:
    """Say of the present span that what it worked on ended in the dead letters."""
    span = trace.get_current_span()
    span.set_status(Status(StatusCode.ERROR, message))
    span.set_attribute("watson.reason", code)


def headers() -> dict[str, str]:
    """The headers that pass the present context on; none where there is none."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return {name: value for name, value in carrier.items() if name == "traceparent" or len(value) <= _MOST_STATE}


def _tracer() -> trace.Tracer:
    return trace.get_tracer("watson", __version__)


def _context_of(record: Record) -> Context:
    carrier = {name: value for name in HEADERS if (value := record.header(name)) is not None}
    return _propagator.extract(carrier, Context())


def _attributes(role: str, record: Record) -> dict[str, str | int]:
    return {
        "watson.role": role,
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
    }
