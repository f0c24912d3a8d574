"""Fixtures: the real servers, the proxy, and the scripted upstream that misbehaves on request."""

import os
from dataclasses import dataclass
from pathlib import Path

import harness.orders as stock
import pytest
from harness.forwarder import Forwarder, listed
from harness.kept import Kept, collection
from harness.process import Child
from harness.proxy import Serve, binary
from harness.scripted import Scripted
from harness.upstream import Upstreams

# Everything here talks to this machine alone, even if the environment names a proxy.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"


@pytest.fixture(scope="session")
def upstreams(tmp_path_factory):
    """The real servers, each started when it is first asked for."""
    servers = Upstreams(tmp_path_factory.mktemp("upstreams"), stock.orders())
    yield servers
    servers.stop()


@pytest.fixture
def serve(tmp_path: Path):
    """Starts `unpage serve` with the text of a configuration, or for an upstream of unknown pagination."""
    running: list[Serve] = []

    def start(
        *,
        config: str | None = None,
        upstream: str | None = None,
        preset: str | None = None,
        environment: dict[str, str] | None = None,
        program: Path | None = None,
    ):
        if config is not None:
            file = tmp_path / "unpage.toml"
            file.write_text(f'listen = "127.0.0.1:0"\n\n{config}')
            arguments = ["--config", str(file)]
        else:
            arguments = ["--listen", "127.0.0.1:0", "--upstream", upstream, *(["--preset", preset] if preset else [])]
        # Where snapshots go by default is a folder of the test's own.
        own = {"XDG_CACHE_HOME": str(tmp_path / "cache"), **(environment or {})}
        running.append(Serve(arguments, tmp_path / f"serve-{len(running)}.log", own, program))
        return running[-1]

    yield start
    for proxy in running:
        proxy.child.stop()
        print(f"--- unpage serve, {proxy.url}:\n{proxy.child.said()}")


@pytest.fixture
def scripted():
    """Starts a scripted upstream, healthy unless told otherwise."""
    running: list[Scripted] = []

    def start(**script):
        running.append(Scripted(**script))
        return running[-1]

    yield start
    for upstream in running:
        upstream.stop()


@dataclass
class Orders:
    """A collection of the demo's API: where it is, what it holds as NDJSON, and how many pages that takes."""

    api: str
    path: str
    lines: bytes
    pages: int
    #: Its pages, got once for all forwarders.
    cached: dict[str, bytes]


def demo(place: Path, records: int):
    """The demo's API with so many orders, in a process of its own."""
    options = ["--records", str(records), "--latency", "0ms", "--listen", "127.0.0.1:0"]
    child = Child([str(binary()), "demo", *options], place / "demo.log", {"XDG_CACHE_HOME": str(place)})
    try:
        child.wait_for("Still serving", 120)
        api = child.wait_for(r"answers at (http://[^/]+)/")[1]
        forwarder = Forwarder(api)
        path = "/cursor/orders"
        lines, pages = listed(forwarder, path)
        forwarder.stop()
        yield Orders(api, path, lines, pages, forwarder.pages)
    finally:
        child.stop()


@pytest.fixture(scope="session")
def orders(tmp_path_factory):
    """100,000 orders: 28 MB in 100 pages."""
    yield from demo(tmp_path_factory.mktemp("demo"), 100_000)


@pytest.fixture(scope="session")
def small_orders(tmp_path_factory):
    """Enough for the buffers of a socket to be full long before the end: 2.8 MB in ten pages."""
    yield from demo(tmp_path_factory.mktemp("demo"), 10_000)


@pytest.fixture
def forwarders(orders):
    """Starts forwarders in front of the demo's API."""
    running: list[Forwarder] = []

    def start(of: Orders = orders, latency: float = 0.0) -> Forwarder:
        running.append(Forwarder(of.api, latency))
        running[-1].pages = of.cached
        return running[-1]

    yield start
    for forwarder in running:
        forwarder.stop()


@pytest.fixture
def kept(tmp_path: Path):
    """Makes proxies that keep their snapshots in a folder. They are started by the test, and stopped here."""
    made: list[Kept] = []

    def make(upstream: Forwarder | None = None, config: str = "", prefix: list[str] | None = None, **snapshots) -> Kept:
        place = tmp_path / f"kept-{len(made)}"
        place.mkdir()
        made.append(Kept(place, collection(upstream.url) if upstream else config, prefix, **snapshots))
        return made[-1]

    yield make
    for proxy in made:
        proxy.stop()
        print(proxy.said())
