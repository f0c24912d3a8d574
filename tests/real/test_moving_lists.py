"""Lists that are written to while they are read, behind the servers of others: what a clean end is worth.

The judge knows what the writer did, and nothing of unpage: each record that existed throughout is in the stream, once. A
stream that ends cleanly without it must say `unverified`, and with `consistency = "repair"` or "verify" there is no such stream. A `snapshot` is one."""

import json
import os
import random
import re
import urllib.error
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from harness import orders
from harness.client import marked
from harness.moving import Crawl, MovingList
from harness.proxy import fetch
from harness.upstream import Upstreams
from harness.writers import STORES
from table import Collection, named

#: 120 orders in 12 pages, whose numbers leave room for others between them and are of one length, as text sorts them.
STOCK = [orders.order(number) for number in range(1050, 7050, 50)]
SIZE = 10
PAGES = len(STOCK) // SIZE

WIDTHS = (1, 6)

#: Numbers of writes of a collection's crawls, at each width. `serve` and `fetch` take turns.
WRITES = [0, *([1] * 50), *([5] * 50)] if os.environ.get("UNPAGE_LONG") else [0, 1, 5]

KINTO = "/v1/buckets/shop/collections/orders/records"

COLLECTIONS = [
    replace(named("drf-page-number"), page_size=("page_size", SIZE), total="count"),
    replace(named("drf-page-next"), address=f"/page/?page_size={SIZE}"),
    replace(named("drf-offset-clamped"), name="drf-offset", page_size=("limit", SIZE)),
    replace(named("drf-offset-next"), address=f"/offset/?limit={SIZE}", total="count"),
    replace(named("drf-link"), address=f"/link/?page_size={SIZE}"),
    replace(named("drf-cursor"), address=f"/cursor/?page_size={SIZE}"),
    replace(named("json-server-0-page"), address=f"/orders?_sort=id&_limit={SIZE}"),
    replace(named("json-server-0-link"), address=f"/orders?_sort=id&_page=1&_limit={SIZE}"),
    replace(named("json-server-0-slice"), address="/orders?_sort=id", page_size=("_limit", SIZE)),
    replace(named("json-server-1-page"), address="/orders?_sort=id", page_size=("_per_page", SIZE)),
    replace(named("fastapi-page"), address=f"/page?size={SIZE}"),
    replace(named("fastapi-links"), address=f"/links?size={SIZE}"),
    replace(named("fastapi-offset"), page_size=("limit", SIZE)),
    replace(named("fastapi-cursor"), address=f"/cursor?size={SIZE}"),
    replace(named("kinto-next-page"), address=f"{KINTO}?_limit={SIZE}"),
    replace(named("kinto-sorted"), name="kinto-by-id", address=f"{KINTO}?_sort=id", page_size=("_limit", SIZE)),
]

#: Past the end this one gives its last page again: without its counts nothing proves an end.
CLAMPING = "json-server-1"

#: Read twice, where two equal reads are asked for.
TWICE = {"drf-page-number", "drf-offset", "json-server-0-page", "fastapi-links", "kinto-by-id"}

#: What is configured against moves: nothing that could tell one, what can, what reads them again, and what reads all of it again.
CARES = [
    *((replace(each, key=None, total=None, file_only=""), "none") for each in COLLECTIONS if each.server != CLAMPING),
    *((each, "detect") for each in COLLECTIONS),
    *((each, "repair") for each in COLLECTIONS if each.style["type"] == "offset"),
    *((each, "verify") for each in COLLECTIONS if each.name in TWICE),
]


@dataclass
class End:
    """End of a stream as its client sees it, and the records that came before it."""

    clean: bool
    #: The verdict's word of a clean end.
    word: str
    numbers: list[int]
    said: str


@dataclass
class Row:
    """Outcomes of all crawls of one collection with one care."""

    name: str
    right: int = 0
    broken: int = 0
    wrong: list[str] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        words = ", ".join(f"{count} {word}" for word, count in self.words.most_common())
        return f"{self.name:32} {self.right:4} right {self.broken:4} broken {len(self.wrong):4} wrong   {words}"


@pytest.fixture(scope="module")
def rows(request):
    """Rates of each collection, printed when all are there: a failure is an assertion, a rate is information."""
    rows: list[Row] = []
    yield rows
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        reporter.write_line("")
        for row in rows:
            reporter.write_line(f"    {row}")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Servers of their own, since these are written to."""
    servers = Upstreams(tmp_path_factory.mktemp("moving"), STOCK)
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def lists(servers):
    """The moving list of each server."""
    running: dict[str, MovingList] = {}

    def get(server: str) -> MovingList:
        if server not in running:
            upstream = servers.get(server)
            running[server] = MovingList(upstream.url, STORES[server](servers, upstream))
        return running[server]

    yield get
    for moving in running.values():
        moving.stop()


@pytest.mark.parametrize(("collection", "care"), CARES, ids=lambda each: each if isinstance(each, str) else each.name)
def test_a_clean_end_is_worth_its_verdict(collection: Collection, care: str, lists, serve, rows):
    moving = lists(collection.server)
    row = Row(f"{collection.name} {care}")
    rows.append(row)
    for width in WIDTHS:
        keys = f'width = {width}\nconsistency = "{care}"\n{collection.file_only}'
        config = replace(collection, file_only=keys).toml(moving.url)
        proxy = serve(config=f'snapshots = {{ disk = "0", fresh_for = "0" }}\n{config}')
        for at, writes in enumerate(WRITES):
            seed = f"{row.name} {width} {at}"
            dice = random.Random(seed)
            crawl = moving.begin(Counter(dice.randint(1, PAGES - 1) for _ in range(writes)), dice)
            if (at + width) % 2:
                options = ["--width", str(width), "--consistency", care]
                end = fetched(moving.url + collection.address, [*collection.options(), *options])
            else:
                end = served(proxy.url + collection.address, collection.headers)
            moving.restore()
            judge(row, crawl, end, f"seed {seed}")
            assert writes or row.right, f"nothing changed, and yet: {end.said}"
    assert not [wrong for wrong in row.wrong if care in ("repair", "verify") or not wrong.startswith("unverified")]


#: Django marks the tags of pages that it compresses as weak.
UNCOMPRESSED = ["-H", "Accept-Encoding: identity"]


@pytest.mark.parametrize("name", ["drf-page-number", "drf-offset"])
def test_a_second_read_is_conditional_where_tags_are_strong(name: str, lists, rows):
    collection = next(each for each in COLLECTIONS if each.name == name)
    moving = lists(collection.server)

    def read(writes: int, seed: str, *options: str) -> tuple[Crawl, End]:
        dice = random.Random(seed)
        crawl = moving.begin(Counter(dice.randint(1, 2 * PAGES) for _ in range(writes)), dice)
        end = fetched(moving.url + collection.address, [*collection.options(), *options])
        moving.restore()
        return crawl, end

    once, _ = read(0, "once", *UNCOMPRESSED)
    twice, end = read(0, "twice", *UNCOMPRESSED, "--consistency", "verify")
    assert end.word == "snapshot" and twice.statuses[304] == PAGES - 1, (end.said, twice.statuses)
    assert twice.requests <= 2 * once.requests and twice.bytes.total() < 1.2 * once.bytes.total()
    weak, end = read(0, "weak", "--consistency", "verify")
    assert end.word == "snapshot" and weak.statuses[304] == 0 and weak.requests == twice.requests
    row = Row(f"{collection.name} verify by tags")
    rows.append(row)
    for at, writes in enumerate(WRITES):
        seed = f"{row.name} {at}"
        width = str(WIDTHS[at % len(WIDTHS)])
        crawl, end = read(writes, seed, *UNCOMPRESSED, "--width", width, "--consistency", "verify")
        judge(row, crawl, end, f"seed {seed}")
    assert not row.wrong


def judge(row: Row, crawl: Crawl, end: End, seed: str) -> None:
    """Puts a crawl into its row."""
    if not end.clean:
        row.broken += 1
        return
    row.words[end.word] += 1
    counts = Counter(end.numbers)
    missing = sorted(crawl.stayed() - counts.keys())
    doubled = sorted(number for number, count in counts.items() if count > 1)
    invented = sorted(counts.keys() - set(crawl.before) - crawl.inserted)
    is_of_a_moment = end.word != "snapshot" or sorted(end.numbers) in crawl.states
    if missing or doubled or invented or not is_of_a_moment:
        row.wrong.append(f"{end.word}: {missing=} {doubled=} {invented=}; {crawl.log}; {seed}; {end.said}")
    else:
        row.right += 1


def served(url: str, headers: dict[str, str]) -> End:
    """The stream of `serve`, whose last line is the end marker."""
    try:
        body, ended_well = marked(url, headers)
    except urllib.error.HTTPError as refused:
        return End(False, "", [], refused.read().decode())
    *lines, marker = body.splitlines()
    end = json.loads(marker)["_unpage"]
    assert ended_well == (end["end"] == "complete"), end
    if not ended_well:
        return End(False, "", [], end["message"])
    return End(True, end["verdict"]["consistency"], numbers(lines), str(end["verdict"]))


def fetched(url: str, options: list[str]) -> End:
    """The output of `fetch`, whose last line on stderr is the verdict."""
    done = fetch(url, *options)
    if done.status != 0:
        assert done.status in (3, 4, 5, 7), done.stderr
        return End(False, "", [], done.last_line)
    word = re.search(r"^complete: .*; (steady|mended|moved|snapshot|upstream|unverified): ", done.last_line)
    assert word, done.stderr
    return End(True, word[1], numbers(done.stdout.splitlines()), done.last_line)


def numbers(lines: list[bytes]) -> list[int]:
    return [orders.number_of(json.loads(line)["number"]) for line in lines]
