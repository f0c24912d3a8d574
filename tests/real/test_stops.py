"""SIGTERM at a random moment of many streams: each ends whole or visibly broken, and resumes at its byte after a restart."""

import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.certificates import pair
from harness.client import parses
from harness.download import Curl
from harness.process import until

#: Streams at a time, of each kind of connection, and rounds of them.
STREAMS, ROUNDS = 50, 20 if "UNPAGE_LONG" in os.environ else 1
KINDS = {
    "plain, HTTP/1.1": "--http1.1",
    "plain, HTTP/2": "--http2-prior-knowledge",
    "TLS, HTTP/1.1": "--http1.1",
    "TLS, HTTP/2": "--http2",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_stream_of_a_stop_resumes_at_its_byte(kind, forwarders, kept, small_orders, tmp_path: Path):
    """Fifty streams of callers of their own. The grace is shorter than the second half takes, so that most are cut."""
    upstream = forwarders(small_orders, latency=0.3)
    further = '[drain]\ngrace = "1s"\n\n[snapshots]'
    proxy = kept(upstream, opens="100000/min", linger="1m")
    options = [KINDS[kind], "-f"]
    if kind.startswith("TLS"):
        made = pair(tmp_path / "tls")
        further = f'[tls]\ncert = "{made.cert}"\nkey = "{made.key}"\n\n{further}'
        proxy.url = proxy.url.replace("http:", "https:")
        options += ["--cacert", str(made.cert)]
    proxy.config.write_text(proxy.config.read_text().replace("[snapshots]", further, 1))
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for round in range(ROUNDS):
        proxy.start()
        begun = upstream.count()
        curls = [
            Curl(
                proxy.url + small_orders.path,
                tmp_path / f"{round}-{number}.ndjson",
                *(*options, "-H", f"Authorization: Bearer {round}-{number}"),
            )
            for number in range(STREAMS)
        ]
        clients = [curl.begin() for curl in curls]
        moment = dice.randint(STREAMS, STREAMS * small_orders.pages // 2)
        until(lambda: upstream.count() >= begun + moment, "the moment of the stop", 60)  # noqa: B023
        proxy.child.signal(signal.SIGTERM)
        outcomes = [client.outcome() for client in clients]
        assert proxy.child.process.wait(timeout=10) == 0, proxy.child.said()
        whole, by_parser = [], 0
        for curl, outcome in zip(curls, outcomes, strict=True):
            left = curl.file.read_bytes() if curl.file.exists() else b""
            assert small_orders.lines.startswith(left), curl.file
            whole.append(left == small_orders.lines)
            if outcome.how != "whole":
                assert not whole[-1], outcome
            elif not whole[-1]:
                # curl 7.88 takes a reset of HTTP/2 for an end where it finds the end of the connection behind it.
                by_parser += 1
                assert "HTTP/2" in kind and not parses(left), outcome
        proxy.start()
        with ThreadPoolExecutor(10) as pool:
            resumed = list(pool.map(resume, [curl for curl, is_whole in zip(curls, whole, strict=True) if not is_whole]))
        assert all(outcome.how == "whole" for outcome in resumed), resumed
        assert all(curl.file.read_bytes() == small_orders.lines for curl in curls)
        said = f"{sum(whole)} whole, {len(resumed)} resumed, {by_parser} of them with exit status 0"
        print(f"{kind}, at {moment} of {STREAMS * small_orders.pages} pages: {said}; {upstream.count() - begun} requests")
        assert resumed
        proxy.child.stop()


def resume(curl: Curl):
    """At its byte where it has the address of its snapshot, and from the beginning where no answer had come yet."""
    is_pinned = curl.head.exists() and b"content-location" in curl.head.read_bytes().lower()
    return (curl.go_on() if is_pinned and curl.size() else curl.begin()).outcome()
