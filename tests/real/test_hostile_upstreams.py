"""Upstreams that lead elsewhere or want all memory: nothing connects where it shouldn't, and a bomb costs its budget."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from harness.hostile import MIB, PAGES, Bombing, Canary, Linking
from harness.memory import peak_of, reset_peak

STREAM = {"Accept": "application/x-ndjson", "Authorization": "Bearer hunter2"}
CONFIG = '[snapshots]\nmemory = "32MiB"\ndisk = "0"\nopens = "100000/min"\nfresh_for = "0"\nlinger = "0"\n\n'


@pytest.fixture
def canary():
    port = Canary()
    yield port
    port.stop()


@pytest.fixture
def linking(canary):
    upstream = Linking(canary.port)
    yield upstream
    upstream.stop()


@pytest.fixture
def bombing():
    upstream = Bombing()
    yield upstream
    upstream.stop()


@pytest.mark.parametrize("place", Linking.PLACES)
def test_no_link_leads_elsewhere(place, canary, linking, serve):
    proxy = serve(config=CONFIG + linking.config())

    def follow(number: int) -> tuple[str, bool]:
        """The end of a stream, and True if it ended cleanly."""
        try:
            answer = requests.get(f"{proxy.url}/{place}/{number}", headers=STREAM, timeout=60)
        except requests.RequestException as error:
            return type(error).__name__, False
        return f"{answer.status_code} {answer.content[-200:]!r}", answer.status_code == 200

    before = linking.calls.total()
    with ThreadPoolExecutor(32) as pool:
        ends = list(pool.map(follow, range(len(linking.links))))
    assert linking.calls.total() >= before + len(linking.links) >= 200
    assert canary.contacts == []
    for link, (end, is_clean) in zip(linking.links, ends, strict=True):
        # Only a link that is a path of the upstream itself leads to an end.
        assert not is_clean or '"id":3' in end.replace(" ", ""), (link, end)
    assert "hunter2" not in proxy.child.said()


@pytest.mark.parametrize("page", PAGES)
def test_a_bomb_costs_its_budget(page, bombing, serve):
    """96 MiB in some kilobytes, in each coding: at most 16 MiB beside the budget of memory."""
    proxy = serve(config=CONFIG + bombing.config())
    process = proxy.child.process.pid
    paths = bombing.prepare(page)
    assert requests.get(f"{proxy.url}/warm-up", timeout=60).status_code == 404
    for path in paths:
        start = reset_peak(process)
        with requests.get(proxy.url + path, headers=STREAM, timeout=60, stream=True) as answer:
            try:
                size = sum(len(piece) for piece in answer.iter_content(65536))
                end = f"{answer.status_code}, {size} bytes"
            except requests.RequestException as error:
                end = type(error).__name__
        grown = peak_of(process) - start
        print(f"{path}: {end}; +{grown / MIB:.1f} MiB over {start / MIB:.1f}")
        assert bombing.calls[path] == 1
        assert grown <= (32 + 16) * MIB, path
    assert proxy.child.running()
