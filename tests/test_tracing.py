"""Traces: made with OpenTelemetry's SDK into memory, and by `watson run` into a collector that speaks OTLP."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id
from PIL import Image
from pydantic import ValidationError

from tests.agents.fakes import (
    FakeDelivery,
    MemoryLog,
    MemoryMarks,
    Stage,
    delivered,
    discovered,
    outbox,
    preprocessed,
    record_of,
)
from watson import tracing
from watson.agents.attempts import Attempts
from watson.agents.chain import ChainLink
from watson.agents.loop import Loop
from watson.errors import ReasonCode, Refused, UserError
from watson.events import CHAIN, Record
from watson.settings import Settings

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What is recorded from now on."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("test"))
    return exporter


def work(result: object, **headers: str) -> Record:
    """Preprocess one picture; what was emitted."""
    log = MemoryLog()
    attempts = Attempts("preprocess", most=1, backoff=0.001, backoff_max=0.002, timeout=1.0)
    link = ChainLink(Stage(result), MemoryMarks(), outbox(log), attempts)  # type: ignore[arg-type]
    loop = Loop("preprocess", link.handle, link.undecodable, window=1)
    asyncio.run(loop.consume(delivered([FakeDelivery(record_of(discovered(), **headers))])))
    (record,) = log.records
    return record


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = [span for span in spans.get_finished_spans() if span.name == name]
    return span


def test_the_work_on_an_event_goes_on_with_its_trace_and_what_is_emitted_goes_on_with_it(
    spans: InMemorySpanExporter,
) -> None:
    record = work(preprocessed(), traceparent=PARENT)
    span = named(spans, "preprocess image-discovered")
    assert (format_trace_id(span.context.trace_id), format_span_id(span.parent.span_id)) == (TRACE, SPAN)
    assert span.kind is SpanKind.CONSUMER
    assert record.header("traceparent") == f"00-{TRACE}-{format_span_id(span.context.span_id)}-01"
    assert named(spans, "work").parent.span_id == span.context.span_id
    assert span.attributes == {
        "watson.role": "preprocess",
        "watson.job": "job",
        "watson.image_key": str(discovered().image_key),
        "watson.outcome": "emitted",
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "image-discovered",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.message.id": str(discovered().id),
    }


def test_an_event_that_ends_in_the_dead_letters_is_an_error_with_its_reason(spans: InMemorySpanExporter) -> None:
    record = work(Refused(ReasonCode.TRUNCATED, "it ends too soon"))
    span = named(spans, "preprocess image-discovered")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "it ends too soon")
    assert span.attributes["watson.reason"] == "truncated"
    assert span.parent is None
    assert TRACE not in str(record.header("traceparent"))


def test_without_a_collector_a_context_is_passed_on_as_it_came() -> None:
    record = work(preprocessed(), traceparent=PARENT, tracestate="vendor=1")
    assert (record.header("traceparent"), record.header("tracestate")) == (PARENT, "vendor=1")


def test_without_a_collector_and_a_context_no_header_is_added() -> None:
    assert {name for name, _ in work(preprocessed()).headers} & set(tracing.HEADERS) == set()


@pytest.mark.parametrize("parent", ["", "nonsense", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01", "\ud83d" * 9])
def test_a_context_that_is_none_is_passed_over(parent: str) -> None:
    key, value, pairs = b"k", record_of(discovered()).value, record_of(discovered()).headers
    record = Record("image-discovered", 0, 0, key, value, (*pairs, ("traceparent", parent.encode("utf-8", "replace"))))
    with tracing.consuming("preprocess", record):
        assert tracing.headers() == {}


def test_a_long_state_of_a_stranger_does_not_grow_every_record() -> None:
    record = work(
        preprocessed(), traceparent=PARENT, tracestate="a=" + "b" * 250 + ",c=" + "d" * 250 + ",e=" + "f" * 99
    )
    assert record.header("traceparent") == PARENT
    assert record.header("tracestate") is None


def test_what_discover_only_takes_note_of_makes_no_span_but_keeps_the_context(spans: InMemorySpanExporter) -> None:
    with tracing.consuming("discover", record_of(preprocessed(), traceparent=PARENT)):
        assert tracing.headers() == {"traceparent": PARENT}
    assert tracing.headers() == {}
    assert spans.get_finished_spans() == ()


def test_each_picture_that_is_found_is_a_trace_linked_to_the_manifests(spans: InMemorySpanExporter) -> None:
    manifest = Record("manifests", 0, 7, b"job", b"{}", (("traceparent", PARENT.encode()),))
    made = set()
    with tracing.consuming("discover", manifest) as listing:
        for number in range(2):
            with tracing.finding("job", str(number)):
                made.add(tracing.headers()["traceparent"][3:35])
    assert len(made) == 2
    assert TRACE not in made
    found = [span for span in spans.get_finished_spans() if span.name == "discover picture"]
    assert all(span.links[0].context == listing.get_span_context() for span in found)


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(UserError, match=r"pip install 'watson\[tracing\]'"):
        tracing.configure_tracing(Settings(otlp_endpoint="http://127.0.0.1:9"), "segment")


@pytest.mark.parametrize("wrong", ["collector:4318", "ftp://x", "http://", "http://x/?a=b", "http://x y", "http://x/"])
def test_an_endpoint_that_is_none_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Settings(otlp_endpoint=wrong)


class Collector(ThreadingHTTPServer):
    """Takes spans as a collector does: protobuf over HTTP, by the published schema."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Takes)
        self.requests: list[ExportTraceServiceRequest] = []

    def spans(self) -> list[tuple[str, dict[str, str], object]]:
        """Service, attributes, span."""
        return [
            (
                {pair.key: pair.value.string_value for pair in resource.resource.attributes}["service.name"],
                {pair.key: pair.value.string_value for pair in span.attributes},
                span,
            )
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Takes(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(folder: Path, endpoint: str) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(3):
        picture = Image.new("RGB", (64, 48), (40 * number, 90, 30))
        picture.paste((250, 250, 250), (8, 8, 30, 30 + number))
        picture.save(pictures / f"{number}.png")
    command = ["run", str(pictures), "--out", str(folder / "out"), "--model", "test-threshold", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "watson", *command],
        env=os.environ | {"WATSON_OTLP_ENDPOINT": endpoint, "WATSON_TORCH_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_sends_one_trace_for_each_picture_through_all_stages(collector: Collector, tmp_path: Path) -> None:
    run(tmp_path, f"http://127.0.0.1:{collector.server_port}")
    traces = defaultdict(dict)
    for service, said, span in collector.spans():
        if "watson.image_key" in said:
            traces[span.trace_id][span.name] = (service, said["watson.image_key"], span)
    line = ["discover picture", "preprocess image-discovered", "segment preprocessed", "catalogue segmented"]
    assert len(traces) == 3
    for trace in traces.values():
        assert set(trace) == {*line, "project catalogued", *(f"project {name}" for name in CHAIN[:-1])}
        assert len({key for _, key, _ in trace.values()}) == 1
        assert not trace["discover picture"][2].parent_span_id
        for before, after in zip(line, [*line[1:], "project catalogued"], strict=True):
            assert trace[after][2].parent_span_id == trace[before][2].span_id
        assert {service for service, _, _ in trace.values()} == {
            f"watson-{role}" for role in ("discover", "preprocess", "segment", "catalogue", "project")
        }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_collector_that_is_away_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path, "http://127.0.0.1:9")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 3
