"""Off-the-shelf clients resume over complete and growing snapshots, and never splice two."""

from pathlib import Path

import pytest
import requests
from harness.boxes import Nginx
from harness.download import Curl, aria2, field, wget
from harness.process import until
from harness.scripted import FAILING, PAGES, WHOLE, Fault

VERSIONS = {"curl-http1.1": "--http1.1", "curl-http2-prior-knowledge": "--http2-prior-knowledge"}
CUTS = (1, 299_781, 12_345_678)


@pytest.fixture
def upstream(forwarders):
    return forwarders(latency=0.002)


@pytest.fixture
def proxy(upstream, kept):
    return kept(upstream, linger="20s").start()


@pytest.fixture
def nginx(tmp_path: Path):
    running: list[Nginx] = []

    def start(address: str) -> Nginx:
        running.append(Nginx(tmp_path / "nginx", address))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def finished(proxy, orders, tmp_path: Path) -> str:
    """The pinned URL of a complete snapshot."""
    curl = Curl(proxy.url + orders.path, tmp_path / "first.ndjson")
    assert curl.begin().outcome().how == "whole"
    assert field(curl.head, "accept-ranges") == "bytes"
    return curl.pinned()


def cut(file: Path, orders, size: int) -> Path:
    file.write_bytes(orders.lines[:size])
    return file


def go_on_with_curl(version: str):
    def run(url: str, file: Path):
        return Curl(url, file, version).go_on_at(url)

    return run


RESUMING = {
    **{name: go_on_with_curl(version) for name, version in VERSIONS.items()},
    "wget": lambda url, file: wget(url, file, "-c"),
    "wget-that-tries": lambda url, file: wget(url, file, "-c", "-t", "5", "--waitretry=1"),
}


@pytest.mark.parametrize("client", RESUMING)
def test_a_part_of_a_finished_snapshot_is_completed(client, finished, upstream, orders, tmp_path: Path):
    asked = upstream.count()
    for size in (*CUTS, len(orders.lines) - 1):
        file = cut(tmp_path / f"part-{size}.ndjson", orders, size)
        outcome = RESUMING[client](finished, file).outcome()
        assert outcome.how == "whole", (size, outcome)
        assert file.read_bytes() == orders.lines, size
    assert upstream.count() == asked


@pytest.mark.parametrize("client", RESUMING)
def test_a_whole_file_of_a_finished_snapshot_stays(client, finished, orders, tmp_path: Path):
    """The only 416 there is: a client that has everything takes it for the end."""
    file = cut(tmp_path / "whole.ndjson", orders, len(orders.lines))
    outcome = RESUMING[client](finished, file).outcome()
    assert outcome.how == "whole", outcome
    assert file.read_bytes() == orders.lines


@pytest.mark.parametrize("client", RESUMING)
@pytest.mark.parametrize("start", ["behind", "ahead"])
def test_a_part_of_a_growing_snapshot_is_completed(client, start, upstream, proxy, orders, tmp_path: Path):
    """The upstream stops in the midst; a client resumes from an existing byte, or waits for one that doesn't exist yet."""
    upstream.close_gate(after=30)
    first = Curl(proxy.url + orders.path, tmp_path / "first.ndjson")
    streaming = first.begin()
    first.has(8_000_000, streaming)
    size = 3_000_001 if start == "behind" else 12_000_001
    file = cut(tmp_path / "part.ndjson", orders, size)
    running = RESUMING[client](first.pinned(), file)
    if start == "behind":
        until(lambda: file.stat().st_size >= 8_000_000 or running.ended(), "what is there already")
        assert not running.ended(), running.outcome()
    else:
        readers = lambda: sum(one["readers"] for one in proxy.snapshots())  # noqa: E731
        until(lambda: readers() >= 2 or running.ended(), "the second reader")
    upstream.open_gate()
    outcome = running.outcome()
    assert outcome.how == "whole", outcome
    assert file.read_bytes() == orders.lines
    assert streaming.outcome().how == "whole"
    assert first.file.read_bytes() == orders.lines
    assert upstream.count() == orders.pages


@pytest.mark.parametrize(
    ("version", "through"), [*((version, "directly") for version in VERSIONS), ("curl-http1.1", "nginx")]
)
def test_curl_resumes_after_a_kill(version, through, upstream, proxy, nginx, orders, tmp_path: Path):
    address = proxy.url if through == "directly" else nginx(proxy.url).url
    curl = Curl(address + orders.path, tmp_path / "orders.ndjson", VERSIONS[version])
    client = curl.begin()
    curl.has(7_654_321, client)
    proxy.kill()
    assert client.outcome().how != "whole"
    proxy.start()
    outcome = curl.go_on().outcome()
    assert outcome.how == "whole", outcome
    assert curl.file.read_bytes() == orders.lines
    # A kill costs two pages at most.
    assert upstream.count() <= orders.pages + 2


@pytest.mark.parametrize("through", ["directly", "nginx"])
def test_wget_retries_by_itself_while_the_proxy_is_killed(through, upstream, proxy, nginx, orders, tmp_path: Path):
    """One wget for all of it: its stream breaks, its connection is refused (or nginx says 502), and it resumes."""
    address = proxy.url if through == "directly" else nginx(proxy.url).url
    upstream.close_gate(after=40)
    curl = Curl(address + orders.path, tmp_path / "first.ndjson")
    opening = curl.begin()
    curl.has(1, opening)
    file = tmp_path / "orders.ndjson"
    retrying = ("-t", "50", "--waitretry=1", "--retry-connrefused", "--retry-on-http-error=502")
    client = wget(curl.pinned(), file, *retrying)

    def has(size: int) -> bool:
        # Version 1.21 takes a first stream that is cut inside of a chunk for whole: then it is run again.
        nonlocal client
        there = file.stat().st_size if file.exists() else 0
        if there < size and client.ended():
            client = wget(curl.pinned(), file, "-c", *retrying)
        return there >= size

    for received in (9_000_000, 16_000_000):
        until(lambda: has(received), f"{received} bytes", 60)  # noqa: B023
        upstream.close_gate(after=25)
        proxy.kill()
        upstream.open_gate()
        proxy.start()
    until(lambda: has(len(orders.lines)), "everything", 60)
    outcome = client.outcome()
    assert outcome.how == "whole", outcome
    assert file.read_bytes() == orders.lines
    # At each kill the page under way, and now and then the one before it.
    assert upstream.count() <= orders.pages + 4


@pytest.mark.parametrize("through", ["directly", "nginx"])
def test_aria2_fetches_a_finished_snapshot_over_four_connections(
    through, finished, proxy, nginx, orders, tmp_path: Path
):
    server = proxy if through == "directly" else nginx(proxy.url)
    file = tmp_path / "orders.ndjson"
    outcome = aria2(finished.replace(proxy.url, server.url), file).outcome()
    assert outcome.how == "whole", outcome
    assert file.read_bytes() == orders.lines
    if through == "nginx":
        # Its first connection asks for everything, and may have most of it before the others have begun.
        answered = server.answered()
        assert answered.count(206) >= 2, answered


def test_requests_with_ranges(finished, orders):
    size = len(orders.lines)
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=299781-", 299_781, size - 1),
        ("bytes=5000000-5999999", 5_000_000, 5_999_999),
        (f"bytes={size - 1}-{size + 10}", size - 1, size - 1),
        ("bytes=-1000", size - 1000, size - 1),
    ):
        answer = requests.get(finished, headers={"Range": asked}, timeout=60)
        assert (answer.status_code, answer.content) == (206, orders.lines[first : last + 1]), asked
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert answer.headers["Content-Length"] == str(last + 1 - first)
    # A coded answer has a weak ETag: it is another representation.
    whole = requests.get(finished, headers={"Accept-Encoding": "identity"}, timeout=60)
    assert (whole.status_code, whole.content) == (200, orders.lines)
    head = requests.head(finished, timeout=60)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(size))
    assert head.headers["ETag"] == whole.headers["ETag"]
    behind = requests.get(finished, headers={"Range": f"bytes={size}-"}, timeout=60)
    assert (behind.status_code, behind.headers["Content-Range"]) == (416, f"bytes */{size}")
    same = requests.get(finished, headers={"If-None-Match": whole.headers["ETag"]}, timeout=60)
    assert (same.status_code, same.content) == (304, b"")


def test_if_range_resumes_without_the_snapshots_url(finished, proxy, orders):
    """A client that keeps the ETag needs no other URL."""
    tag = requests.head(finished, timeout=60).headers["ETag"]
    headers = {"Accept": "application/x-ndjson", "Range": "bytes=1000000-", "If-Range": tag}
    answer = requests.get(proxy.url + orders.path, headers=headers, timeout=60)
    assert (answer.status_code, answer.content) == (206, orders.lines[1_000_000:])


@pytest.mark.parametrize(
    ("options", "exit"), [(("--http1.1",), 33), (("--http2-prior-knowledge",), 33), (("--http1.1", "-f"), 22)], ids=str
)
def test_curl_is_not_spliced_by_the_collections_url(options, exit, finished, proxy, orders, tmp_path: Path):
    file = cut(tmp_path / "part.ndjson", orders, 1_000_000)
    outcome = Curl("", file, *options).go_on_at(proxy.url + orders.path, stream=True).outcome()
    assert outcome.how == f"exit {exit}", outcome
    assert file.read_bytes() == orders.lines[:1_000_000]


def test_wget_is_not_spliced_by_the_collections_url(finished, proxy, orders, tmp_path: Path):
    file = cut(tmp_path / "part.ndjson", orders, 1_000_000)
    outcome = wget(proxy.url + orders.path, file, "-c", "--header=Accept: application/x-ndjson").outcome()
    assert outcome.how == "exit 8", outcome
    assert file.read_bytes() == orders.lines[:1_000_000]


def test_a_redirect_to_the_only_generation(upstream, kept, orders, tmp_path: Path):
    """`resume = "redirect"`: the collection's own URL will do, where curl follows it."""
    proxy = kept(upstream, resume="redirect").start()
    assert Curl(proxy.url + orders.path, tmp_path / "first.ndjson").begin().outcome().how == "whole"
    file = cut(tmp_path / "part.ndjson", orders, 1_000_000)
    outcome = Curl("", file, "-L").go_on_at(proxy.url + orders.path, stream=True).outcome()
    assert outcome.how == "whole", outcome
    assert file.read_bytes() == orders.lines
    assert upstream.count() == orders.pages


def test_a_break_at_the_upstream_is_mended_by_the_client(scripted, kept, tmp_path: Path):
    """The crawl broke, not the proxy: `curl -C -` resumes it with the page that failed."""
    upstream = scripted(fault=Fault.CUT)
    proxy = kept(config=upstream.config()).start()
    curl = Curl(proxy.url + "/orders", tmp_path / "orders.ndjson")
    assert curl.begin().outcome().how == "exit 18"
    upstream.fault = Fault.NONE
    outcome = curl.go_on().outcome()
    assert outcome.how == "whole", outcome
    assert curl.file.read_bytes() == WHOLE
    assert upstream.calls == {**dict.fromkeys(range(1, PAGES + 1), 1), FAILING: 3}


def test_another_callers_pinned_url_is_gone(finished):
    """The URL alone opens nothing: without the credentials the answer is that of a URL that never existed."""
    other = requests.get(finished, headers={"Authorization": "Bearer other"}, timeout=60)
    unknown = requests.get(finished[:-4] + "0000", timeout=60)
    assert (other.status_code, unknown.status_code) == (410, 410)
    assert other.json().get("detail") == unknown.json().get("detail")
