"""Real clients and a stream: a complete one is exact, a broken one is noticed and its remains are unreadable."""

import json
from pathlib import Path

import pytest
from harness.client import CLIENTS, READERS, STREAM, Running, by_status, curl, curl_into_jq
from harness.process import until
from harness.proxy import fetch
from harness.scripted import BEFORE_FAILURE, FAILING, PAGES, RECORDS, WHOLE, Fault, Scripted, lines

every_client = pytest.mark.parametrize("client", CLIENTS)
every_reader = pytest.mark.parametrize("reader", READERS)
breaking = pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.CUT], ids=lambda fault: fault.name.lower())


@every_client
def test_a_whole_stream_is_exact(client, scripted, serve, tmp_path: Path):
    upstream = scripted()
    file = tmp_path / "orders.ndjson"
    run, _ = CLIENTS[client]
    outcome = run(serve(config=upstream.config()).url + "/orders", file)
    assert outcome.how == "whole", outcome.detail
    assert file.read_bytes() == WHOLE
    assert upstream.calls == dict.fromkeys(range(1, PAGES + 1), 1)


@every_client
@breaking
def test_a_broken_stream_is_noticed(client, fault, scripted, serve, tmp_path: Path):
    upstream = scripted(fault=fault)
    file = tmp_path / "orders.ndjson"
    run, noticed = CLIENTS[client]
    outcome = run(serve(config=upstream.config()).url + "/orders", file)
    assert outcome.how == noticed, outcome.detail
    assert_cut_inside_a_record(file.read_bytes())
    assert upstream.calls[FAILING] == 2, "the failing page is asked for as often as the configuration says"
    assert upstream.calls[FAILING + 1] == 0


@every_reader
@breaking
def test_the_remains_of_a_broken_stream_are_unreadable(reader, fault, scripted, serve, tmp_path: Path):
    file = tmp_path / "orders.ndjson"
    proxy = serve(config=scripted(fault=fault).config())
    assert curl("http1.1")(proxy.url + "/orders", file).outcome().how == "exit 18"
    assert_refused(reader, file)


@pytest.mark.parametrize("version", ["http1.1", "http2-prior-knowledge"])
def test_the_remains_after_kill_9_are_unreadable(version, scripted, serve, tmp_path: Path):
    upstream = scripted(fault=Fault.STALLED)
    proxy = serve(config=upstream.config())
    file = tmp_path / "orders.ndjson"
    client = curl(version)(proxy.url + "/orders", file)
    assert upstream.failing.wait(timeout=30)
    # All that can be known to be followed by something has been sent, and no byte more.
    sent = lambda: file.exists() and file.stat().st_size >= len(BEFORE_FAILURE) - 2  # noqa: E731
    until(lambda: sent() or client.ended(), "the pages before the failing one")
    assert file.read_bytes() == BEFORE_FAILURE[:-2]
    proxy.child.kill()
    outcome = client.outcome()
    assert outcome.how != "whole"
    assert file.read_bytes() == BEFORE_FAILURE[:-2]
    for reader in READERS:
        assert_refused(reader, file)


@every_reader
def test_a_complete_stream_is_readable(reader, tmp_path: Path):
    """The readers refuse what they refuse for its end, not for its records."""
    file = tmp_path / "orders.ndjson"
    file.write_bytes(WHOLE)
    read, _ = READERS[reader]
    assert read(file) == list(range(1, PAGES * RECORDS + 1))


@pytest.mark.parametrize("fault", [Fault.NONE, Fault.ONCE], ids=lambda fault: fault.name.lower())
def test_curl_into_jq(fault, scripted, serve):
    upstream = scripted(fault=fault)
    done = curl_into_jq(serve(config=upstream.config()).url + "/orders")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.split() == [str(number).encode() for number in range(1, PAGES * RECORDS + 1)]
    assert upstream.calls[FAILING] == (2 if fault is Fault.ONCE else 1)


@breaking
def test_curl_into_jq_notices_a_broken_stream(fault, scripted, serve):
    done = curl_into_jq(serve(config=scripted(fault=fault).config()).url + "/orders")
    assert done.returncode != 0
    assert len(done.stdout.split()) < FAILING * RECORDS


def test_http_1_0_gets_no_stream(scripted, serve, tmp_path: Path):
    """Its bodies end with the connection, so that a broken one would look whole."""
    upstream = scripted()
    file = tmp_path / "answer"
    command = ["curl", "-q", "-sS", "--http1.0", "--fail", "-H", f"Accept: {STREAM}", "-o", str(file)]
    url = serve(config=upstream.config()).url + "/orders"
    assert Running([*command, url], by_status).outcome().how == "exit 22"
    command.remove("--fail")
    outcome = Running([*command, "-w", "%{stderr}%{http_code}", url], by_status).outcome()
    assert outcome.detail == "505"
    assert b'"big"' not in file.read_bytes()


def test_fetch_writes_the_same_bytes(scripted, tmp_path: Path):
    upstream = scripted()
    file = tmp_path / "orders.ndjson"
    to_stdout = fetch(*ask(upstream))
    assert (to_stdout.status, to_stdout.stdout) == (0, WHOLE), to_stdout.stderr
    to_file = fetch(*ask(upstream), "--output", str(file))
    assert (to_file.status, to_file.stdout) == (0, b""), to_file.stderr
    assert file.read_bytes() == WHOLE
    assert to_file.last_line.startswith("complete:")


@breaking
def test_fetch_says_that_the_stream_broke(fault, scripted, tmp_path: Path):
    upstream = scripted(fault=fault)
    to_stdout = fetch(*ask(upstream))
    assert to_stdout.status == 4, to_stdout.stderr
    assert not to_stdout.last_line.startswith("complete:")
    assert_cut_inside_a_record(to_stdout.stdout)
    file = tmp_path / "orders.ndjson"
    assert fetch(*ask(upstream), "--output", str(file)).status == 4
    if file.exists():
        for reader in READERS:
            assert_refused(reader, file)


def test_fetch_with_a_cap_says_that_there_was_more(scripted):
    fetched = fetch(*ask(scripted()), "--max-records", "250")
    assert fetched.status == 6, fetched.stderr
    assert not fetched.last_line.startswith("complete:")
    assert WHOLE.startswith(fetched.stdout)
    assert len(fetched.stdout) <= len(b"".join(WHOLE.splitlines(keepends=True)[:250]))


def test_fetch_of_a_refused_collection(scripted):
    upstream = scripted()
    fetched = fetch(f"{upstream.url}/nothing", *ask(upstream)[1:])
    assert (fetched.status, fetched.stdout) == (3, b"")
    assert "404" in fetched.stderr


@pytest.mark.parametrize(
    "mistake",
    [
        ["--pagination", '{ type = "cursor", next = "next_cursor" }'],
        ["--pagination", '{ type = "courser" }'],
        ["--no-such-option"],
    ],
    ids=["no-param", "no-such-type", "no-such-option"],
)
def test_fetch_with_contradictory_arguments(mistake, scripted):
    upstream = scripted()
    fetched = fetch(f"{upstream.url}/orders", "--records", "data", *mistake)
    assert (fetched.status, fetched.stdout) == (2, b""), fetched.stderr
    assert upstream.calls.total() == 0


def ask(upstream: Scripted) -> list[str]:
    return [f"{upstream.url}/orders", "--pagination", Scripted.PAGINATION, "--records", "data", "--key", "id"]


def assert_cut_inside_a_record(left: bytes) -> None:
    """The output is a beginning of the collection that ends inside a record."""
    assert BEFORE_FAILURE.startswith(left) or lines(1, FAILING).startswith(left)
    assert left, "the pages before the failing one are streamed"
    *_, rest = left.split(b"\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(rest)


def assert_refused(reader: str, file: Path) -> None:
    read, error = READERS[reader]
    with pytest.raises(error):
        read(file)
