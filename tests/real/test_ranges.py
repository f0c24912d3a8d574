"""Ranges at every byte of each format that has them, before and after `kill -9`: each is the slice of the whole."""

import http.client
import threading
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from harness.forms import FORMS, query
from harness.process import until
from harness.scripted import Server, send_json

PAGES = 4
FORMATS = {form: query(form, "id,text") for form in ["ndjson", *FORMS]}


class Gated:
    """A record a page. The third page waits until it is let through."""

    def __init__(self):
        self.gate = threading.Event()
        self.calls: list[int] = []
        self.server = Server(self.answer)

    def answer(self, request) -> None:
        number = int(parse_qs(urlsplit(request.path).query).get("cursor", ["1"])[0])
        self.calls.append(number)
        if number == 3:
            self.gate.wait(60)
        records = f'{{"type":"Feature","id":{number},"text":"№ \\"{number}\\""}}'
        following = f'"{number + 1}"' if number < PAGES else "null"
        send_json(request, f'{{"data":[{records}],"next":{following}}}'.encode())


@pytest.fixture
def upstream():
    gated = Gated()
    yield gated
    gated.gate.set()
    gated.server.stop()


@pytest.fixture
def proxy(upstream, kept):
    config = f'[[collection]]\npath = "/orders"\nupstream = "{upstream.server.url}"\nrecords = "data"\npagination = {{ type = "cursor", next = "next", param = "cursor" }}\n'
    return kept(config=config, fresh_for="5m").start()


def assert_every_range(url: str, whole: bytes, tag: str) -> None:
    """From each byte to the end, or to the tenth after it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    for first in range(len(whole)):
        end = len(whole) if first % 2 else min(first + 10, len(whole))
        text = f"bytes={first}-" if first % 2 else f"bytes={first}-{end - 1}"
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Range": text, "If-Range": tag})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (206, whole[first:end]), f"{url} {text}"
        assert answer.headers["Content-Range"].startswith(f"bytes {first}-")
    connection.close()


@pytest.mark.parametrize("form", FORMATS)
def test_every_byte_begins_a_range_before_and_after_a_kill(form, upstream, proxy):
    upstream.gate.set()
    address = f"{proxy.url}/orders?{FORMATS[form]}"
    first = requests.get(address, headers={"Accept-Encoding": "identity"}, timeout=30)
    whole, tag, url = first.content, first.headers["ETag"], urljoin(address, first.headers["Content-Location"])
    assert first.status_code == 200 and whole
    assert_every_range(url, whole, tag)
    proxy.kill()
    proxy.start()
    assert_every_range(url, whole, tag)
    assert upstream.calls == list(range(1, PAGES + 1))


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in ("arrow", "parquet")])
def test_a_growing_stream_goes_on_at_its_byte_after_a_kill(form, upstream, proxy):
    """Arrow and Parquet have no byte before the end of so short a list."""
    address = f"{proxy.url}/orders?{FORMATS[form]}"
    had = b""
    with requests.get(address, headers={"Accept-Encoding": "identity"}, stream=True, timeout=30) as growing:
        tag, url = growing.headers["ETag"], urljoin(address, growing.headers["Content-Location"])
        pieces = growing.iter_content(None)
        # The second record is held back by its end.
        while b"1" not in had:
            had += next(pieces)
        until(lambda: 3 in upstream.calls, "the page that waits")
        proxy.kill()
        with pytest.raises(requests.RequestException):
            had += b"".join(pieces)
    upstream.gate.set()
    proxy.start()
    rest = requests.get(url, headers={"Range": f"bytes={len(had)}-", "If-Range": tag, "Accept-Encoding": "identity"}, timeout=30)
    assert rest.status_code == 206
    whole = had + rest.content
    assert requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=30).content == whole
    assert_every_range(url, whole, tag)
    # A kill costs the page under way, and now and then the one before it.
    assert len(upstream.calls) <= PAGES + 2
