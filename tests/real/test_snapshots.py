"""A killed proxy: a download resumes at its byte, and only the page in flight is fetched twice."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from harness.download import Curl
from harness.forwarder import Forwarder, spent
from harness.process import until

#: Pages that a kill costs at most: the one under way, and the one before it, where its line of the journal was still on its way to the file.
A_KILL = 2
KILLS = 200 if os.environ.get("UNPAGE_LONG") else 20
#: What a page takes: kills are to fall into the midst of a crawl, not behind it.
LATENCY = 0.004


@pytest.fixture
def upstream(forwarders):
    return forwarders(latency=LATENCY)


@pytest.fixture
def proxy(upstream, kept):
    return kept(upstream, linger="20s")


def test_a_download_survives_every_kill(upstream, proxy, orders, tmp_path: Path):
    """100,000 records, killed at random bytes: curl's file is the API's own list, and a kill costs a page, or two."""
    chance = random.Random(20_260_101)
    costs, downloads, begun = [], 0, time.monotonic()
    proxy.start()
    while len(costs) < KILLS:
        killed_at = [upstream.count()]
        curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson", "-H", f"Authorization: Bearer {downloads}")
        client = curl.begin()
        curl.has(1, client)
        while len(costs) + len(killed_at) <= KILLS:
            if not wait_for_a_random_byte(chance, curl, client, upstream, len(orders.lines)):
                break
            proxy.kill()
            killed_at.append(upstream.count())
            assert client.outcome().how != "whole" or curl.size() == len(orders.lines)
            assert orders.lines.startswith(curl.file.read_bytes()), "the download is spliced"
            proxy.start()
            client = curl.go_on()
        outcome = client.outcome()
        assert outcome.how == "whole", f"{outcome}\n{proxy.child.said()}"
        assert curl.file.read_bytes() == orders.lines
        downloads += 1
        begin, *kills = killed_at
        costs += [twice(upstream.asked[begin:], at - begin) for at in kills]
    spread = {cost: costs.count(cost) for cost in sorted(set(costs))}
    print(f"{len(costs)} kills in {downloads} downloads, {spent(begun)}; pages that came twice, and kills: {spread}")
    assert max(costs) <= A_KILL, spread


def twice(asked: list[str], kill: int) -> int:
    """Number of the last pages before this kill that were requested again."""
    return len(set(asked[max(0, kill - 4) : kill]) & set(asked[kill:]))


def wait_for_a_random_byte(chance: random.Random, curl: Curl, client, upstream: Forwarder, whole: int) -> bool:
    """Waits for a byte of the client's or, as often, one on its way to the proxy; false if the end came first."""
    ahead = chance.randrange(1, whole // 4)
    if chance.random() < 0.5:
        target = curl.size() + ahead
        if target >= whole:
            return False
        curl.has(target, client)
        return not client.ended()
    passed = upstream.after(ahead)
    until(lambda: passed.is_set() or client.ended(), "bytes from the upstream", 60)
    return not client.ended()


def test_a_kill_without_a_reader(upstream, proxy, orders, tmp_path: Path):
    """The crawl continues without its client; its records at the kill are there for the client that returns."""
    proxy.start()
    curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson")
    client = curl.begin()
    curl.has(1_000_000, client)
    client.process.kill()
    client.process.wait()
    assert upstream.after(len(orders.lines) // 3).wait(timeout=30), "the crawl stopped with its client"
    proxy.kill()
    asked = upstream.count()
    assert asked < orders.pages
    proxy.start()
    assert curl.go_on().outcome().how == "whole"
    assert curl.file.read_bytes() == orders.lines
    assert upstream.count() <= orders.pages + A_KILL


def test_kills_while_it_starts(upstream, proxy, orders, tmp_path: Path):
    """Killed as soon as it was started, when it has said some words, and when the first bytes are out again."""
    proxy.start()
    curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson")
    client = curl.begin()
    curl.has(5_000_000, client)
    proxy.kill()
    assert client.outcome().how != "whole"
    chance = random.Random(7)
    for _ in range(10):
        child = proxy.spawn()
        read = chance.randrange(0, 120)
        until(lambda: len(child.said()) >= read or not child.running(), "its first words")  # noqa: B023
        child.kill()
    for ahead in (1, 1_000_000, 3_000_000):
        proxy.start()
        before = curl.size()
        client = curl.go_on()
        curl.has(before + ahead, client)
        proxy.kill()
        assert client.outcome().how != "whole"
        assert orders.lines.startswith(curl.file.read_bytes())
    proxy.start()
    assert curl.go_on().outcome().how == "whole"
    assert curl.file.read_bytes() == orders.lines
    # Four kills while it crawls; those before hit no crawl.
    assert upstream.count() <= orders.pages + 4 * A_KILL


def test_a_stop_and_a_start(upstream, proxy, orders, tmp_path: Path):
    """SIGTERM during a crawl without a reader: it ends in good order, and resumes after the next start."""
    proxy.start()
    curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson")
    client = curl.begin()
    curl.has(2_000_000, client)
    client.process.kill()
    client.process.wait()
    proxy.child.signal(signal.SIGTERM)
    assert proxy.child.process.wait(timeout=20) == 0, proxy.child.said()
    assert upstream.count() < orders.pages
    proxy.start()
    assert curl.go_on().outcome().how == "whole"
    assert curl.file.read_bytes() == orders.lines
    assert upstream.count() <= orders.pages + 1


def test_a_stream_under_way_ends_before_a_stop(upstream, proxy, orders, tmp_path: Path):
    """SIGTERM while a client reads: the stream has its grace, and is whole."""
    proxy.start()
    curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson")
    client = curl.begin()
    curl.has(2_000_000, client)
    proxy.child.signal(signal.SIGTERM)
    assert client.outcome().how == "whole"
    assert curl.file.read_bytes() == orders.lines
    assert proxy.child.process.wait(timeout=20) == 0, proxy.child.said()
    assert upstream.count() == orders.pages


def test_a_finished_snapshot_outlives_a_kill(upstream, proxy, orders, tmp_path: Path):
    """A complete one is read from its files after the kill: the upstream isn't asked again."""
    proxy.start()
    curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson")
    assert curl.begin().outcome().how == "whole"
    proxy.kill()
    proxy.start()
    for left in (0, 1, 299_781, len(orders.lines) // 2, len(orders.lines) - 1, len(orders.lines)):
        with curl.file.open("r+b") as file:
            file.truncate(left)
        outcome = curl.go_on().outcome()
        # A file that is whole already gets 416, which curl takes for the end.
        assert outcome.how == "whole", (left, outcome)
        assert curl.file.read_bytes() == orders.lines, left
    assert upstream.count() == orders.pages


def test_unfinished_crawls_go_on_by_themselves(upstream, kept, orders, tmp_path: Path):
    """`resume_on_start`: a crawl whose client sent nothing of its own is finished without a client."""
    proxy = kept(upstream, linger="20s", resume_on_start=True).start()
    curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson", "-H", "User-Agent;")
    client = curl.begin()
    curl.has(2_000_000, client)
    proxy.kill()
    client.outcome()
    proxy.start()
    until(lambda: [one for one in proxy.snapshots() if one["state"] == "complete"], "the crawl to be finished", 60)
    assert upstream.count() <= orders.pages + A_KILL
    asked = upstream.count()
    assert curl.go_on().outcome().how == "whole"
    assert curl.file.read_bytes() == orders.lines
    assert upstream.count() == asked
