"""Fixtures: the real servers, the proxy, and the scripted upstream that misbehaves on request."""

import os
from pathlib import Path

import pytest
from harness.proxy import Serve
from harness.scripted import Scripted
from harness.upstream import Upstreams

# Everything here talks to this machine alone, whatever proxy the environment names.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"


@pytest.fixture(scope="session")
def upstreams(tmp_path_factory):
    """The real servers, each started when it is first asked for."""
    servers = Upstreams(tmp_path_factory.mktemp("upstreams"))
    yield servers
    servers.stop()


@pytest.fixture
def serve(tmp_path: Path):
    """Starts `unpage serve` with the text of a configuration, or for an upstream of unknown pagination."""
    running: list[Serve] = []

    def start(*, config: str | None = None, upstream: str | None = None, environment: dict[str, str] | None = None):
        if config is not None:
            file = tmp_path / "unpage.toml"
            file.write_text(f'listen = "127.0.0.1:0"\n\n{config}')
            arguments = ["--config", str(file)]
        else:
            arguments = ["--listen", "127.0.0.1:0", "--upstream", upstream]
        running.append(Serve(arguments, tmp_path / f"serve-{len(running)}.log", environment))
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
