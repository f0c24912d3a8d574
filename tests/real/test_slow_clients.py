"""Clients that are silent, slow, or read nothing: each is closed by its limit, and good clients are served meanwhile."""

import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from harness.client import STREAM
from harness.cuts import Cut, Cuts
from harness.frames import PREFACE, SETTINGS, frame
from harness.process import Child, until
from harness.raw import RawServer, response, target

#: Each limit is a second, but that of streams.
LIMITS = """
[limits]
first_byte = "1s"
head = "1s"
idle = "1s"
write = "1s"
stream_write = "2s"
request_body = "1s"

[snapshots]
opens = "1000000/min"

"""
#: More than the buffers of two sockets hold.
LARGE = response(200, b"x" * 8_000_000)
SILENT = 100


@pytest.fixture
def upstream():
    """The list at `/whole/orders`; `/large` is a large answer, all else a small one."""
    answer = lambda head: LARGE if target(head) == "/large" else response(200, b"{}")  # noqa: E731
    lists, large = Cuts(200), RawServer(lambda connection, head: connection.sendall(answer(head)) is None)
    yield lists, large
    large.stop()
    lists.stop()


@pytest.fixture
def proxy(upstream, serve):
    lists, large = upstream
    rest = f'[[collection]]\npath = "/{{*rest}}"\nupstream = "{large.url}"\nrecords = "data"\npagination = {{ type = "none" }}\n'
    return serve(config=f"{LIMITS}{lists.config()}\n{rest}")


@contextlib.contextmanager
def good_clients(url: str, expected: bytes) -> Iterator[list[float]]:
    """Streams one after the other until the end of the block; each is exact. Gives the seconds that they took."""
    ended, seconds, problems = threading.Event(), [], []

    def read() -> None:
        while not (ended.is_set() and seconds):
            begun = time.monotonic()
            answer = requests.get(f"{url}/{Cut.NONE.value}/orders", headers={"Accept": STREAM}, timeout=60)
            if answer.content != expected:
                problems.append(answer.status_code)
            seconds.append(time.monotonic() - begun)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seconds
    finally:
        ended.set()
        reader.join()
    assert not problems


#: What they say before they are silent, and after how many seconds the connection is closed at the latest.
SILENCES: dict[str, tuple[bytes, float]] = {
    "nothing": (b"", 1),
    "one byte": (b"G", 1),
    "half a head": (b"GET / HTTP/1.1\r\nHost: localhost\r\n", 1),
    "half a preface": (PREFACE[:14], 1),
    "a preface": (PREFACE, 1),
    "a preface and settings": (PREFACE + frame(SETTINGS), 1),
    "half a body": (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf", 1),
    "a request": (b"GET /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 1),
}


@pytest.mark.parametrize("said", SILENCES)
def test_silent_connections_are_closed(said, upstream, proxy):
    """A hundred at a time. The slack of three seconds is the machine's."""
    url = urlsplit(proxy.url)
    raw, limit = SILENCES[said]
    with good_clients(proxy.url, upstream[0].whole) as seconds, contextlib.ExitStack() as open_ones:
        begun = time.monotonic()
        connections = [socket.create_connection((url.hostname, url.port), timeout=30) for _ in range(SILENT)]
        for connection in connections:
            open_ones.enter_context(connection)
            connection.sendall(raw)
        for connection in connections:
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(1 << 20):
                    pass
        took = time.monotonic() - begun
    print(f"{said}: {SILENT} closed after {took:.1f} s; {len(seconds)} good streams, the slowest {max(seconds):.2f} s")
    assert took <= limit + 3
    assert proxy.child.running()


SLOW: dict[str, list[str]] = {
    "slow heads": ["-H", "-i", "1"],
    "slow bodies": ["-B", "-i", "2", "-s", "8192"],
    "ranges": ["-R", "-a", "5", "-b", "2000"],
}


@pytest.mark.parametrize("attack", SLOW)
def test_slowhttptest_finds_no_connection_open(attack, upstream, proxy, tmp_path: Path):
    """200 connections: it ends when all are closed, which its report says, and found the service available until then."""
    command = ["slowhttptest", *SLOW[attack], "-c", "200", "-r", "200", "-l", "30", "-p", "3", "-u", f"{proxy.url}/large"]
    with good_clients(proxy.url, upstream[0].whole) as seconds:
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        took = time.monotonic() - begun
    report = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    said = [line for line in report.splitlines() if "xit status" in line or "est ended" in line]
    print(f"{attack}: {took:.1f} s; {said[-2:]}; {len(seconds)} good streams, the slowest {max(seconds):.2f} s")
    assert "No open connections left" in report, report[-1500:]
    assert proxy.child.running()


def connections(url: str) -> int:
    """Number of connections that a server's kernel holds, whatever its process knows of them."""
    port = f":{urlsplit(url).port:04X}"
    fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # Those that listen, or are over and only remembered, are none.
    return sum(local.endswith(port) and state not in ("0A", "06") for _, local, _, state, *_ in fields)


def test_slow_reads_leave_nothing_in_the_kernel(proxy, tmp_path: Path):
    """slowhttptest reads five bytes a second and doesn't notice when it is reset: the kernel does."""
    options = ["-X", "-n", "1", "-z", "5", "-w", "10", "-y", "20", "-c", "20", "-r", "200", "-l", "60", "-u", f"{proxy.url}/large"]
    slow = Child(["slowhttptest", *options], tmp_path / "slowhttptest.log")
    try:
        until(lambda: connections(proxy.url) >= 10, "its connections")
        until(lambda: connections(proxy.url) == 0, "their end")
        assert slow.running()
    finally:
        slow.kill()


@pytest.mark.parametrize("way", ["passed through", "streamed"])
def test_a_client_that_reads_nothing_is_cut(way, serve, proxy):
    """Once its buffers are full and the limit is over the kernel keeps nothing for it either, and it finds a break."""
    lists = Cuts(700)
    path, accept, url, size = "/large", "*/*", proxy.url, len(LARGE)
    if way == "streamed":
        url, size = serve(config=f"{LIMITS}{lists.config()}").url, len(lists.whole)
        path, accept = f"/{Cut.NONE.value}/orders", STREAM
    to = urlsplit(url)
    received = 0
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((to.hostname, to.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {to.netloc}\r\nAccept: {accept}\r\n\r\n".encode())
        until(lambda: connections(url) == 1, "the connection")
        until(lambda: connections(url) == 0, "its end", 60)
        with pytest.raises(ConnectionResetError):
            while piece := connection.recv(65536):
                received += len(piece)
    lists.stop()
    assert received < size / 2
