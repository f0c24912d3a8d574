"""Spans as a collector gets them: crawls in traces of their own, responses in those of their clients, and links between them; the
collector's troubles, which no stream has a part in."""

import ssl
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from harness.certificates import pair
from harness.client import STREAM
from harness.collector import Collector, attributes, named
from harness.process import free_port
from harness.proxy import Serve, tracing_binary
from harness.scripted import PAGES, RECORDS, WHOLE, Fault, Server, page, send_json
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

CRAWL, RESPONSE, REQUEST = Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector():
    """Starts a collector."""
    running: list[Collector] = []

    def start(**options) -> Collector:
        running.append(Collector(**options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def traced(serve):
    """Starts unpage with this configuration, and spans for the collector at this URL."""

    def start(config: str, url: str, **variables: str) -> Serve:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **variables}
        return serve(config=config, environment=environment, program=tracing_binary())

    return start


def get(proxy: Serve, target: str = "/orders", context: str | None = None) -> requests.Response:
    fields = {"Accept": STREAM, **({"traceparent": context} if context else {})}
    return requests.get(f"{proxy.url}{target}", headers=fields, timeout=60)


def end(proxy: Serve) -> str:
    """Ends the process, which exports what waits, and returns its log."""
    proxy.child.stop()
    assert proxy.child.process.returncode == 0
    return proxy.child.said()


def links(span: Span) -> list[tuple[str, str]]:
    return [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]


class Listed:
    """An upstream of so many pages, which notes the contexts of its requests."""

    def __init__(self, pages: int):
        self.pages, self.contexts = pages, []
        self.server = Server(self.answer)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        number = int(parse_qs(urlsplit(request.path).query).get("cursor", ["page-1"])[0].removeprefix("page-"))
        self.contexts.append(request.headers["traceparent"])
        send_json(request, page(number, self.pages))

    def config(self) -> str:
        pagination = '{ type = "cursor", next = "next_cursor", param = "cursor" }'
        return f'[[collection]]\npath = "/orders"\nupstream = "{self.server.url}"\nrecords = "data"\npagination = {pagination}\n'


@pytest.fixture
def listed():
    """Starts an upstream of so many pages."""
    running: list[Listed] = []

    def start(pages: int) -> Listed:
        running.append(Listed(pages))
        return running[-1]

    yield start
    for one in running:
        one.server.stop()


def test_a_crawl_is_a_trace_of_its_own_with_links_to_its_readers(collector, traced, listed):
    spans, upstream = collector(), listed(3)
    resource = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=s3cret"}
    proxy = traced(upstream.config(), spans.url, OTEL_SERVICE_NAME="orders", **resource)
    assert get(proxy, "/orders?state=s3cret", f"00-{TRACE}-{PARENT}-01").text.count("\n") == 3 * RECORDS
    assert get(proxy, "/orders?state=s3cret").headers["Cache-Status"].startswith("unpage; hit")
    said = end(proxy)

    first, second = spans.of_kind(RESPONSE)
    [crawl] = spans.of_kind(CRAWL)
    assert first.trace_id.hex() == TRACE and first.parent_span_id.hex() == PARENT
    assert second.trace_id not in (first.trace_id, crawl.trace_id) and not second.parent_span_id
    assert links(first) == links(second) == [named(crawl)]
    assert crawl.trace_id != first.trace_id and not crawl.parent_span_id and links(crawl) == [named(first)]
    assert (first.name, crawl.name) == ("GET /orders", "crawl /orders")

    of_response, of_crawl = attributes(first.attributes), attributes(crawl.attributes)
    expected = {"http.request.method": "GET", "http.route": "/orders", "url.path": "/orders", "url.scheme": "http"}
    expected |= {"http.response.status_code": 200, "unpage.end": "complete", "client.address": "127.0.0.1"}
    assert expected.items() <= of_response.items() and of_response["http.response.body.size"] > 1000
    expected = {"url.template": "/orders", "unpage.end": "complete", "unpage.records": 3 * RECORDS}
    expected |= {"unpage.pages": 3, "unpage.requests": 3, "unpage.retries": 0}
    assert expected.items() <= of_crawl.items() and of_crawl["unpage.verdict"] and of_crawl["unpage.proof"]

    asked = spans.of_kind(REQUEST)
    assert {span.parent_span_id for span in asked} == {crawl.span_id}
    assert [f"00-{trace}-{span}-01" for trace, span in map(named, asked)] == upstream.contexts
    for span in asked:
        of_request = attributes(span.attributes)
        assert span.name == of_request["http.request.method"] == "GET" and of_request["http.response.status_code"] == 200
        assert of_request["url.full"].startswith(f"{upstream.server.url}/orders?") and of_request["server.address"] == "127.0.0.1"
        assert crawl.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= crawl.end_time_unix_nano

    for of_process in spans.resources:
        assert of_process["service.name"] == "orders" and of_process["deployment.environment.name"] == "test"
    assert {fields["x-key"] for fields in spans.headers} == {"s3cret"}
    assert "s3cret" not in said and not any(b"s3cret" in span.SerializeToString() for span in spans.spans)


def test_a_long_crawl_has_spans_of_its_first_requests_and_of_one_in_a_hundred(collector, traced, listed):
    spans, upstream = collector(), listed(250)
    assert get(proxy := traced(upstream.config(), spans.url)).text.count("\n") == 250 * RECORDS
    end(proxy)
    [crawl] = spans.of_kind(CRAWL)
    assert attributes(crawl.attributes)["unpage.requests"] == 250
    asked = {f"00-{trace}-{span}-01" for trace, span in map(named, spans.of_kind(REQUEST))}
    at = {number for number, context in enumerate(upstream.contexts) if context in asked}
    assert at == {*range(100), 100, 200} and len(asked) == 102
    assert {upstream.contexts[number] for number in range(250) if number not in at} == {"00-{}-{}-01".format(*named(crawl))}


def test_a_trace_that_its_client_does_not_sample_is_not_exported(collector, traced, listed):
    spans, upstream = collector(), listed(2)
    proxy = traced(upstream.config(), spans.url)
    context = f"00-{TRACE}-{PARENT}-00"
    assert get(proxy, context=context).text.count("\n") == 2 * RECORDS
    assert not get(proxy, "/orders?a=1").history
    end(proxy)
    assert [span.name for span in spans.of_kind(CRAWL)] == ["crawl /orders"]
    assert len(spans.of_kind(RESPONSE)) == 1 and len(spans.of_kind(REQUEST)) == 2
    assert [field[-2:] for field in upstream.contexts] == ["00", "00", "01", "01"]
    assert not any(TRACE in field for field in upstream.contexts)


@pytest.mark.parametrize(("fault", "retried"), [(Fault.ONCE, "503"), (Fault.REFUSED, "500")])
def test_a_span_tells_of_retries_and_of_the_failure(collector, traced, scripted, fault: Fault, retried: str):
    spans, upstream = collector(), scripted(fault=fault)
    proxy = traced(upstream.config(), spans.url)
    with suppress(requests.exceptions.ChunkedEncodingError):
        assert get(proxy).content == WHOLE
    end(proxy)
    [response], [crawl] = spans.of_kind(RESPONSE), spans.of_kind(CRAWL)
    failed = [span for span in spans.of_kind(REQUEST) if span.status.code == Status.STATUS_CODE_ERROR]
    again = [span for span in spans.of_kind(REQUEST) if attributes(span.attributes).get("http.request.resend_count") == 1]
    assert {attributes(span.attributes)["error.type"] for span in failed} == {retried} and len(again) == 1
    of_crawl, of_response = attributes(crawl.attributes), attributes(response.attributes)
    assert of_crawl["unpage.retries"] == 1 and of_crawl["unpage.end"] == of_response["unpage.end"]
    if fault is Fault.ONCE:
        assert of_crawl["unpage.end"] == "complete" and of_crawl["unpage.requests"] == PAGES + 1
        assert crawl.status.code == response.status.code == Status.STATUS_CODE_UNSET
    else:
        assert of_crawl["unpage.end"] == "broken" and of_crawl["error.type"] == "500"
        assert crawl.status.code == response.status.code == Status.STATUS_CODE_ERROR
        assert "500" in crawl.status.message


def test_a_request_that_is_passed_on_carries_the_span_of_its_response(collector, traced, listed):
    spans, upstream = collector(), listed(3)
    proxy = traced(upstream.config(), spans.url)
    assert requests.get(f"{proxy.url}/orders?cursor=page-2", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}, timeout=60).ok
    end(proxy)
    [response] = spans.spans
    assert upstream.contexts == ["00-{}-{}-01".format(*named(response))] and response.trace_id.hex() == TRACE
    assert response.parent_span_id.hex() == PARENT and not response.links


def test_a_stop_exports_the_streams_that_it_cuts(collector, traced, scripted):
    spans, upstream = collector(), scripted(fault=Fault.STALLED)
    proxy = traced(f'[drain]\ngrace = "0s"\n{upstream.config()}', spans.url)
    with requests.get(f"{proxy.url}/orders", headers={"Accept": STREAM}, stream=True, timeout=60) as cut:
        assert cut.raw.read(100) and upstream.failing.wait(60)
        end(proxy)
    [response], [crawl] = spans.of_kind(RESPONSE), spans.of_kind(CRAWL)
    assert attributes(response.attributes)["unpage.end"] == "broken"
    assert attributes(crawl.attributes)["unpage.end"] == "abandoned"


def test_a_collector_that_is_down_is_told_of_once_and_costs_no_stream(collector, traced, scripted):
    port, upstream = free_port(), scripted()
    proxy = traced(upstream.config(), f"http://127.0.0.1:{port}", OTEL_BSP_SCHEDULE_DELAY="50", OTEL_EXPORTER_OTLP_TIMEOUT="100")
    for number in range(3):
        assert get(proxy, f"/orders?n={number}").content == WHOLE
        proxy.child.wait_for("spans can't be exported")
    spans = collector(port=port)
    while "again; dropped so far: " not in proxy.child.said():
        assert get(proxy, "/orders?n=9").content == WHOLE
    assert spans.spans
    said = end(proxy)
    assert said.count("spans can't be exported") == 1 and f"no connection to http://127.0.0.1:{port}" in said
    assert "streams are not affected" in said


def test_a_collector_that_does_not_answer_holds_up_no_stop(collector, traced, scripted):
    spans, upstream = collector(), scripted()
    spans.answers.clear()
    proxy = traced(upstream.config(), spans.url, OTEL_BSP_SCHEDULE_DELAY="50")
    assert get(proxy).content == WHOLE
    assert spans.asked.wait(60)
    assert get(proxy, "/orders?n=1").content == WHOLE
    # A stop that takes more than five seconds would be a kill.
    assert "spans were not exported" in end(proxy)


def test_a_wrong_variable_is_told_at_the_start_and_spans_are_exported(collector, traced, scripted):
    spans, upstream = collector(), scripted()
    wrong = {
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "soon",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-key=right,s3cret",
        "OTEL_TRACES_SAMPLER": "xray",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_BSP_SCHEDULE_DELAY": "0",
        "OTEL_BSP_EXPORT_TIMEOUT": "1000",
        "OTEL_PROPAGATORS": "b3",
    }
    proxy = traced(upstream.config(), spans.url, **wrong)
    assert get(proxy).content == WHOLE
    said = end(proxy)
    for name in wrong:
        assert [name in line for line in said.splitlines() if " WARN " in line].count(True) == 1, f"{name} in {said}"
    assert "s3cret" not in said and spans.of_kind(CRAWL)
    assert {fields["x-key"] for fields in spans.headers} == {"right"}


@pytest.mark.parametrize(("sampler", "exported"), [("always_off", 0), ("traceidratio", 0), ("parentbased_always_off", 0), ("always_on", 1)])
def test_the_sampler_is_that_of_the_environment(collector, traced, scripted, sampler: str, exported: int):
    spans, upstream = collector(), scripted()
    proxy = traced(upstream.config(), spans.url, OTEL_TRACES_SAMPLER=sampler, **({"OTEL_TRACES_SAMPLER_ARG": "0"} if "ratio" in sampler else {}))
    assert get(proxy).content == WHOLE
    assert " WARN " not in end(proxy)
    assert len(spans.of_kind(CRAWL)) == len(spans.of_kind(RESPONSE)) == exported


def test_a_collector_is_trusted_by_the_configured_authority(collector, traced, scripted, tmp_path: Path):
    made, upstream = pair(tmp_path / "pair", authority=False), scripted()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert, made.key)
    context.load_verify_locations(made.cert)
    context.verify_mode = ssl.CERT_REQUIRED
    spans = collector(tls=context)
    client = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(made.cert), "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(made.key)}
    for name, said_of in [("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", None), ("OTEL_EXPORTER_OTLP_HEADERS", "UnknownIssuer")]:
        spans.spans.clear()
        proxy = traced(upstream.config(), spans.url, **{name: str(made.cert), **client})
        assert get(proxy).content == WHOLE
        said = end(proxy)
        assert bool(spans.of_kind(CRAWL)) == (said_of is None), said
        assert said_of is None or "spans can't be exported" in said
    for name in ["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"]:
        proxy = traced(upstream.config(), spans.url, **{**client, name: str(tmp_path / "none.pem")})
        assert get(proxy).content == WHOLE
        [told] = [line for line in end(proxy).splitlines() if "spans are not exported: " in line]
        assert told.endswith(f"correct {name}") or "CLIENT" in name and told.endswith("CLIENT_CERTIFICATE"), told


def test_a_binary_without_the_exporter_says_so(scripted, serve):
    proxy = serve(config=scripted().config(), environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    assert get(proxy).content == WHOLE
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set, and this binary was built without the feature otlp" in end(proxy)
