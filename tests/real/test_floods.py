"""Clients that send or hold more than they should: memory stays bounded, and others are served."""

import os
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests
from harness.client import STREAM
from harness.cuts import Cut, Cuts
from harness.frames import DATA, FLOODS, WINDOW_UPDATE, Connection, flood, frame, frames
from harness.memory import peak_of, reset_peak, resident

MIB = 1024 * 1024
LONG = "UNPAGE_LONG" in os.environ
SECONDS = 8.0 if LONG else 1.5


@pytest.fixture(scope="module")
def upstream():
    running = Cuts(200)
    yield running
    running.stop()


@pytest.fixture
def proxy(upstream, serve):
    return serve(config=f'[snapshots]\nmemory = "64MiB"\nopens = "1000000/min"\n\n{upstream.config()}')


def address_of(proxy) -> tuple[str, int]:
    url = urlsplit(proxy.url)
    return url.hostname, url.port


def whole(proxy) -> bytes:
    return requests.get(f"{proxy.url}/{Cut.NONE.value}/orders", headers={"Accept": STREAM}, timeout=60).content


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_frames_costs_no_memory(name, upstream, proxy):
    """Meanwhile others get their streams."""
    assert whole(proxy) == upstream.whole
    process = proxy.child.process.pid
    start = reset_peak(process)
    sent: list[int] = []
    flooding = threading.Thread(target=lambda: sent.append(flood(address_of(proxy), name, SECONDS)))
    flooding.start()
    served, slowest = 0, 0.0
    while flooding.is_alive():
        begun = time.monotonic()
        assert whole(proxy) == upstream.whole
        served, slowest = served + 1, max(slowest, time.monotonic() - begun)
    flooding.join()
    grown = peak_of(process) - start
    said = f"{sent[0] / MIB:.1f} MiB sent, +{grown / MIB:.1f} MiB"
    print(f"{name}: {said}; {served} streams meanwhile, the slowest took {slowest * 1000:.0f} ms")
    assert sent[0] > 0 and served > 0
    assert grown <= 16 * MIB
    assert proxy.child.running()


def test_streams_that_nobody_reads_are_small(upstream, proxy):
    """A hundred on one connection, whose window is one byte each; in the long form 10,000 on a hundred of them."""
    assert whole(proxy) == upstream.whole
    process = proxy.child.process.pid
    count = 100 if LONG else 1
    before = resident(process)
    connections = [Connection(address_of(proxy), window=1) for _ in range(count)]
    for connection in connections:
        for _ in range(100):
            connection.send(connection.request(f"/{Cut.NONE.value}/orders", ("accept", STREAM)))
        # The window of the connection is of no use for any stream.
        connection.send(frame(WINDOW_UPDATE, payload=(10_000_000).to_bytes(4)))
    heads = sum(heads_of(connection, 100) for connection in connections)
    assert heads == 100 * count
    grown = resident(process) - before
    print(f"{100 * count} streams that nobody reads: +{grown / MIB:.1f} MiB")
    assert grown <= (400 if LONG else 8) * MIB
    for connection in connections:
        connection.close()


def heads_of(connection: Connection, count: int) -> int:
    """Number of responses that have begun, of so many that are waited for."""
    begun = 0
    for kind, _, _, _ in frames(connection.socket):
        begun += kind == DATA
        if begun == count:
            break
    return begun
