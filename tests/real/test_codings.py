"""Streams in gzip and zstd: real clients decode them record by record, and resume at their byte of what they decoded."""

import json
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
import requests
from harness.client import STREAM
from harness.download import Curl, field
from harness.scripted import BEFORE_FAILURE, PAGES, RECORDS, WHOLE, Fault

CODINGS = ["gzip", "zstd"]
CUTS = (1, 299_781, 12_345_678)


@pytest.fixture
def proxy(forwarders, kept):
    return kept(forwarders(latency=0.002), linger="20s").start()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_a_compressed_download_resumes_at_its_byte(coding, version, proxy, orders, tmp_path: Path):
    curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson", version, "--compressed", "-H", f"Accept-Encoding: {coding}")
    assert curl.begin().outcome().how == "whole"
    assert field(curl.head, "content-encoding") == coding
    assert (field(curl.head, "content-length"), field(curl.head, "accept-ranges")) == (None, None)
    assert curl.file.read_bytes() == orders.lines
    for size in (*CUTS, len(orders.lines) - 1):
        curl.file.write_bytes(orders.lines[:size])
        assert curl.go_on().outcome().how == "whole", size
        assert curl.file.read_bytes() == orders.lines, size


@pytest.mark.parametrize("coding", CODINGS)
def test_a_broken_compressed_download_is_completed(coding, scripted, serve, tmp_path: Path):
    """The upstream breaks once more often than it is asked again: the first attempt ends in the middle of a record."""
    upstream = scripted(fault=Fault.STALLED)
    proxy = serve(config=upstream.config())
    curl = Curl(proxy.url + "/orders", tmp_path / "orders.ndjson", "--compressed", "-H", f"Accept-Encoding: {coding}")
    client = curl.begin()
    assert upstream.failing.wait(timeout=30)
    curl.has(len(BEFORE_FAILURE) - 2, client)
    # All that is visible has been coded, flushed and decoded, and no byte more.
    assert curl.file.read_bytes() == BEFORE_FAILURE[:-2]
    proxy.child.kill()
    outcome = client.outcome()
    assert outcome.how != "whole", outcome
    assert curl.file.read_bytes() == BEFORE_FAILURE[:-2]


def test_python_asks_for_codings_by_itself(scripted, serve):
    url = serve(config=scripted().config()).url + "/orders"
    fields = {"Accept": STREAM}
    with requests.get(url, headers=fields, stream=True, timeout=60) as answer:
        assert answer.headers["Content-Encoding"] in CODINGS
        assert [json.loads(line)["id"] for line in answer.iter_lines()] == list(range(1, PAGES * RECORDS + 1))
    with httpx.stream("GET", url, headers=fields, timeout=60) as answer:
        assert answer.headers["Content-Encoding"] in CODINGS
        assert b"".join(answer.iter_bytes()) == WHOLE


def test_a_second_read_is_revalidated_by_its_weak_tag(scripted, serve):
    url = serve(config=scripted().config()).url + "/orders"
    first = requests.get(url, headers={"Accept": STREAM, "Accept-Encoding": "gzip"}, timeout=60)
    tag = first.headers["ETag"]
    assert tag.startswith('W/"') and first.content == WHOLE
    pinned = urljoin(url, first.headers["Content-Location"])
    again = requests.get(pinned, headers={"If-None-Match": tag}, timeout=60)
    assert (again.status_code, again.content) == (304, b"")
    # A range by a weak tag is the whole: it names no bytes.
    whole = requests.get(pinned, headers={"If-Range": tag, "Range": "bytes=10-"}, timeout=60)
    assert (whole.status_code, whole.content) == (200, WHOLE)
    part = requests.get(pinned, headers={"Range": "bytes=10-"}, timeout=60)
    assert (part.status_code, part.content) == (206, WHOLE[10:])
    assert "Content-Encoding" not in part.headers
