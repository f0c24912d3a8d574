"""The files of contrib/ for nginx, HAProxy and Caddy, over TLS: records arrive one by one, a broken stream is visible and
resumes at its byte, ranges and WebSockets work."""

import re
import socket
import ssl
from pathlib import Path

import pytest
from harness.client import Running, by_status, parses
from harness.download import Curl, field
from harness.echo import running as echo_server
from harness.process import until
from harness.recipes import NAME, RECIPES, Behind, RecipeBox
from harness.scripted import BEFORE_FAILURE, PAGES, WHOLE, Fault
from websockets.sync.client import connect

#: Options of curl, which offers HTTP/1.1 alone, or HTTP/2 too.
VERSIONS = ["--http1.1", "--http2"]
#: What a client has of a stream whose seventh page is missing: the last record lacks its last byte and its newline.
LEFT = BEFORE_FAILURE[:-2]


@pytest.fixture
def start(tmp_path: Path):
    """Starts unpage for this collection, and the box of this name before it."""
    proxies: list[Behind] = []
    boxes: list[RecipeBox] = []

    def run(name: str, collection: str) -> tuple[RecipeBox, Behind]:
        place = tmp_path / "unpage"
        place.mkdir()
        proxies.append(Behind(place, collection, fresh_for="1m"))
        proxies[-1].start()
        boxes.append(RecipeBox(RECIPES[name], tmp_path / "box", proxies[-1]))
        return boxes[-1], proxies[-1]

    yield run
    for box in boxes:
        box.stop()
        print(box.child.said())
    for proxy in proxies:
        proxy.stop()
        print(proxy.said())


@pytest.fixture
def begin(start):
    """Begins downloads; a test that fails leaves none behind."""
    running: list[Running] = []

    def run(client: Curl) -> Running:
        running.append(client.begin())
        return running[-1]

    yield run
    for client in running:
        client.stop()


def broken(name: str, version: str) -> str:
    """curl's exit status for a broken stream: HAProxy's file offers HTTP/1.1 alone."""
    return "exit 92" if version == "--http2" and name != "HAProxy" else "exit 18"


def curl(box: RecipeBox, file: Path, version: str) -> Curl:
    return Curl(f"{box.url}/orders", file, version, "-f", *box.curl_options())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RECIPES)
def test_records_arrive_one_by_one_and_a_download_resumes_after_a_kill(name, version, start, begin, scripted, tmp_path: Path):
    upstream = scripted(fault=Fault.STALLED)
    box, proxy = start(name, upstream.config())
    client = curl(box, tmp_path / "orders.ndjson", version)
    streaming = begin(client)
    # All that there is has arrived, although the seventh page is not answered.
    until(lambda: client.size() >= len(LEFT) or streaming.ended(), "the records of six pages")
    assert client.file.read_bytes() == LEFT
    proxy.kill()
    assert streaming.outcome().how == broken(name, version)
    assert client.file.read_bytes() == LEFT
    upstream.fault = Fault.NONE
    upstream.stopped.set()
    proxy.start()
    # HAProxy sends nothing to a server before it has seen it ready.
    until(lambda: client.go_on().outcome().how == "whole", "a download that resumes")
    assert client.file.read_bytes() == WHOLE
    assert upstream.calls.total() <= PAGES + 2, upstream.calls


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_list_that_breaks_is_a_visible_break(name, version, start, scripted, tmp_path: Path):
    upstream = scripted(fault=Fault.CUT)
    box, _ = start(name, upstream.config())
    client = curl(box, tmp_path / "orders.ndjson", version)
    assert client.begin().outcome().how == broken(name, version)
    left = client.file.read_bytes()
    assert left.startswith(LEFT) and WHOLE.startswith(left) and not parses(left)
    assert upstream.calls[PAGES] == 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RECIPES)
def test_ranges_are_of_the_snapshot_that_the_client_names(name, version, start, scripted, tmp_path: Path):
    upstream = scripted()
    box, _ = start(name, upstream.config())
    client = curl(box, tmp_path / "orders.ndjson", version)
    assert client.begin().outcome().how == "whole"
    assert client.file.read_bytes() == WHOLE
    tag = field(client.head, "etag")
    assert tag.startswith('"')
    for named, expected in [(tag, WHOLE[1000:2000]), ('"another"', WHOLE)]:
        part = tmp_path / "part.ndjson"
        asked = ["-r", "1000-1999", "-H", f"If-Range: {named}", "-H", "Accept: application/x-ndjson"]
        outcome = Running([*client.command(), *asked, "-o", str(part), client.url], by_status).outcome()
        assert (outcome.how, part.read_bytes()) == ("whole", expected), outcome
    part.write_bytes(WHOLE[:54_321])
    resumed = Curl(box.url, part, version, "-f", *box.curl_options()).go_on_at(client.pinned()).outcome()
    assert (resumed.how, part.read_bytes()) == ("whole", WHOLE), resumed
    assert upstream.calls == dict.fromkeys(range(1, PAGES + 1), 1)


@pytest.mark.parametrize("name", RECIPES)
def test_callers_are_told_apart_by_their_own_addresses(name, start, scripted, tmp_path: Path):
    """`opens` counts by them, and the access log shows them: not that of the box."""
    box, proxy = start(name, scripted().config())
    for address in ("127.0.0.2", "127.0.0.3"):
        client = curl(box, tmp_path / f"{address}.ndjson", "--http1.1")
        client.options = (*client.options, "--interface", address)
        assert client.begin().outcome().how == "whole"
    logged = lambda: re.findall(r'client=(\S+) .*path="/orders"', proxy.said())  # noqa: E731
    until(lambda: len(logged()) == 2, "two lines of the access log")
    assert logged() == ["127.0.0.2", "127.0.0.3"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_websocket_passes(name, start):
    with echo_server() as port:
        box, _ = start(name, f'[[collection]]\npath = "/{{*rest}}"\nupstream = "http://127.0.0.1:{port}"\n')
        trusting = ssl.create_default_context(cafile=str(box.pair.cert))
        opened = socket.create_connection(("127.0.0.1", box.port), timeout=20)
        with connect(f"wss://{NAME}:{box.port}/chat", sock=opened, ssl=trusting, subprotocols=["chat"]) as client:
            client.send("hello")
            assert client.recv(20) == "hello"
