"""Every collection of every server through `serve` and `fetch`, configured and by `auto`, against its store."""

import json

import pytest
import requests
from harness.client import STREAM
from harness.process import until
from harness.proxy import Fetched, fetch
from harness.upstream import Upstream
from table import COLLECTIONS, SCAN, Collection, named

# Collections that differ in their configuration alone are one to `auto`.
PROVABLE = list(
    {(each.server, each.auto_address): each for each in reversed(COLLECTIONS) if not each.hopeless}.values()
)[::-1]
HOPELESS = [collection for collection in COLLECTIONS if collection.hopeless]

#: Requests beyond the pages themselves: one that proves the end, and those by which `auto` finds a token's parameter.
PROBES, GUESSES = 1, 12

#: Pages that may be asked for beyond the end, where pages are numbered and nothing says how many there are.
WIDTH = 6


def every(collections: list[Collection]):
    return pytest.mark.parametrize("collection", collections, ids=lambda collection: collection.name)


@every(COLLECTIONS)
def test_serve_as_configured(collection: Collection, upstreams, serve):
    upstream = upstreams.get(collection.server)
    proxy = serve(config=collection.toml(upstream.url))
    with counted(collection, upstream, PROBES):
        assert_whole(collection, upstream, stream(collection, proxy.url + collection.address))


@every(COLLECTIONS)
def test_fetch_as_configured(collection: Collection, upstreams):
    upstream = upstreams.get(collection.server)
    with counted(collection, upstream, PROBES):
        fetched = fetch(upstream.url + collection.address, *collection.options())
        assert_complete(collection, upstream, fetched)


# The pages' own Accept is a key of the configuration, and no wish of the client.
@every([collection for collection in PROVABLE if collection.method == "GET" and "Accept" not in collection.headers])
def test_serve_finds_out(collection: Collection, upstreams, serve):
    upstream = upstreams.get(collection.server)
    proxy = serve(upstream=upstream.url)
    with counted(collection, upstream, GUESSES):
        assert_whole(collection, upstream, stream(collection, proxy.url + collection.auto_address))


@every(PROVABLE)
def test_fetch_finds_out(collection: Collection, upstreams):
    upstream = upstreams.get(collection.server)
    with counted(collection, upstream, GUESSES):
        fetched = fetch(upstream.url + collection.auto_address, *collection.request_options())
        assert_complete(collection, upstream, fetched)


@every(HOPELESS)
def test_serve_refuses_an_unproven_end(collection: Collection, upstreams, serve):
    proxy = serve(upstream=upstreams.get(collection.server).url)
    answer = stream(collection, proxy.url + collection.auto_address)
    if collection.method == "POST":
        # It may be a write: without a configuration it is passed on once, and what comes back is the upstream's own.
        assert answer.headers["Content-Type"] != STREAM, collection.hopeless
        return
    assert answer.status_code >= 400, collection.hopeless
    assert "pagination" in answer.text, "it must say what to configure"


@every(HOPELESS)
def test_fetch_refuses_an_unproven_end(collection: Collection, upstreams):
    url = upstreams.get(collection.server).url + collection.auto_address
    fetched = fetch(url, *collection.request_options())
    assert fetched.status == 5, f"{collection.hopeless}\n{fetched.stderr}"
    assert not fetched.stdout.endswith(b"\n"), "records of the one page may come, but no end"
    assert "pagination" in fetched.stderr, "it must say what to configure"


def test_credentials_of_the_configuration(upstreams, serve):
    """The client sends none, and the file holds none: they come from the environment."""
    collection = named("kinto-next-page")
    upstream = upstreams.get(collection.server)
    basic = 'credentials = { basic = { user = "reader", password = { env = "KINTO_PASSWORD" } } }\n'
    proxy = serve(config=collection.toml(upstream.url) + basic, environment={"KINTO_PASSWORD": "secret"})
    answer = requests.get(proxy.url + collection.address, headers={"Accept": STREAM}, timeout=60)
    assert_whole(collection, upstream, answer)
    assert "secret" not in proxy.child.said()


def test_a_get_in_front_of_a_post(upstreams, serve):
    """The whole request stands in the configuration: the client asks for a path and gets the table."""
    collection = named("dynamodb-scan")
    upstream = upstreams.get(collection.server)
    operation = (
        'path = "/tables/orders"\nupstream_path = "/"\nbody = { TableName = "orders" }\n'
        f'headers = {{ Content-Type = "{SCAN["Content-Type"]}", X-Amz-Target = "{SCAN["X-Amz-Target"]}" }}\n'
        'credentials = { header = { name = "Authorization", value = { env = "AWS_SIGNATURE" } } }\n'
    )
    config = collection.toml(upstream.url).replace('path = "/"\n', operation)
    proxy = serve(config=config, environment={"AWS_SIGNATURE": SCAN["Authorization"]})
    answer = requests.get(f"{proxy.url}/tables/orders", headers={"Accept": STREAM}, timeout=60)
    assert_whole(collection, upstream, answer)


def test_the_upstreams_refusal_is_passed_on(upstreams, serve):
    """Kinto without credentials says 401, and so does unpage, in the stream's place."""
    collection = named("kinto-next-page")
    upstream = upstreams.get(collection.server)
    proxy = serve(config=collection.toml(upstream.url))
    answer = requests.get(proxy.url + collection.address, headers={"Accept": STREAM}, timeout=60)
    assert answer.status_code == 401
    fetched = fetch(upstream.url + collection.address, "--pagination", collection.pagination, "--records", "data")
    assert (fetched.status, fetched.stdout) == (3, b"")
    assert "401" in fetched.stderr


@every(COLLECTIONS)
def test_without_the_wish_for_a_stream_the_page_is_the_servers_own(collection: Collection, upstreams, serve):
    upstream = upstreams.get(collection.server)
    proxy = serve(config=collection.toml(upstream.url))
    headers = {"Accept": "application/json", **collection.headers}
    ask = {"method": collection.method, "data": collection.body, "headers": headers, "timeout": 60}
    directly = requests.request(url=upstream.url + collection.address, **ask)
    through = requests.request(url=proxy.url + collection.address, **ask)
    assert through.status_code == directly.status_code == 200
    assert steady(through.json()) == steady(directly.json())
    assert through.headers["Content-Type"] == directly.headers["Content-Type"]


#: A collection of each server that codes its pages, and the coding.
CODED = {
    "coded-zstd": "zstd",
    "coded-brotli": "br",
    "coded-gzip": "gzip",
    "drf-cursor": "gzip",
    "json-server-0-link": "br",
}


@pytest.mark.parametrize(("name", "coding"), CODED.items())
def test_pages_of_a_crawl_are_coded(name: str, coding: str, upstreams):
    """So the tests above have shown that it decodes. A server that says what it sent has sent every page so."""
    collection = named(name)
    upstream = upstreams.get(collection.server)
    asked = {"Accept": "application/json", "Accept-Encoding": "zstd, gzip, br, deflate"}
    answer = requests.get(upstream.url + collection.auto_address, headers=asked, stream=True, timeout=30)
    assert answer.headers["Content-Encoding"] == coding
    sent = f"{collection.path} came in {coding}"
    before = upstream.child.said().count(sent)
    fetched = fetch(upstream.url + collection.address, *collection.options())
    assert_complete(collection, upstream, fetched)
    if collection.server == "coded":
        assert upstream.child.said().count(sent) - before >= collection.pages


def steady(page):
    """A page without what changes with each answer."""
    return {key: value for key, value in page.items() if key not in ("query_ms", "took")} if isinstance(page, dict) else page


def stream(collection: Collection, url: str) -> requests.Response:
    """The one request that a client makes."""
    headers = {**collection.headers, "Accept": STREAM}
    return requests.request(collection.method, url, data=collection.body, headers=headers, timeout=60)


class counted:
    """The server was asked for each page once, and for at most `beyond` others."""

    def __init__(self, collection: Collection, upstream: Upstream, beyond: int):
        is_guessed = collection.style["type"] in ("page", "offset", "range") and not collection.total
        self.collection, self.upstream = collection, upstream
        self.beyond = max(beyond, WIDTH) if is_guessed else beyond

    def __enter__(self):
        self.upstream.settle_log()
        self.before = self.upstream.calls(self.collection.path)

    def __exit__(self, kind, *_):
        if kind or not self.upstream.logs:
            return
        made = lambda: self.upstream.calls(self.collection.path) - self.before  # noqa: E731
        # A server may write its log after its answer.
        until(lambda: made() >= self.collection.pages, f"{self.collection.pages} requests in the log", seconds=5)
        assert made() <= self.collection.pages + self.beyond


def assert_complete(collection: Collection, upstream: Upstream, fetched: Fetched) -> None:
    """`fetch` succeeded, says so, and wrote the collection."""
    assert fetched.status == 0, fetched.stderr
    assert_same(collection, upstream, fetched.stdout)
    assert fetched.last_line.startswith("complete:"), fetched.stderr
    count = str(len(collection.expected(upstream)))
    assert count in fetched.last_line.replace(",", "").split(), fetched.last_line


def assert_whole(collection: Collection, upstream: Upstream, answer: requests.Response) -> None:
    """`serve` answered with the collection."""
    assert answer.status_code == 200, answer.text[:2000]
    assert answer.headers["Content-Type"].split(";")[0] == STREAM
    assert_same(collection, upstream, answer.content)


def assert_same(collection: Collection, upstream: Upstream, ndjson: bytes) -> None:
    """Id by id, then record by record, what the stream holds is what the server's own store holds."""
    assert ndjson.endswith(b"\n")
    records = [json.loads(line) for line in ndjson.split(b"\n")[:-1]]
    expected = collection.expected(upstream)
    if not collection.ordered:
        records.sort(key=collection.identity)
        expected = sorted(expected, key=collection.identity)
    assert [collection.identity(record) for record in records] == [collection.identity(record) for record in expected]
    for got, stored in zip(records, expected, strict=True):
        assert got == stored
