"""A collector of OpenTelemetry's spans over HTTP, which reads protobuf by the classes that OpenTelemetry publishes."""

import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


def attributes(pairs: list[KeyValue]) -> dict[str, str | int]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def named(span: Span) -> tuple[str, str]:
    """The trace and the span, as header fields spell them."""
    return span.trace_id.hex(), span.span_id.hex()


class Collector:
    """A running collector; its address is the value of OTEL_EXPORTER_OTLP_ENDPOINT."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None):
        self.spans: list[Span] = []
        self.resources: list[dict] = []
        self.headers: list[dict] = []
        #: Cleared, it lets requests wait without an answer.
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked.set()
                collector.answers.wait()
                assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                collector.take(dict(self.headers), body)
                answer = ExportTraceServiceResponse().SerializeToString()
                # A process that has ended does not wait for it.
                with suppress(ConnectionError):
                    self.send_response(200)
                    self.send_header("Content-Type", "application/x-protobuf")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def take(self, headers: dict, body: bytes) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        self.headers.append(headers)
        for of_resource in request.resource_spans:
            self.resources.append(attributes(of_resource.resource.attributes))
            for scope in of_resource.scope_spans:
                self.spans.extend(scope.spans)

    def of_kind(self, kind: "Span.SpanKind") -> list[Span]:
        return sorted((span for span in self.spans if span.kind == kind), key=lambda span: span.start_time_unix_nano)

    def stop(self) -> None:
        self.answers.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
