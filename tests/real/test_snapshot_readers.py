"""Many clients of one URL: one crawl for all that may share it, no record for another caller, no wait for slow readers."""

import json
import os
import random
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from harness.callers import FIELDS, PAGES, Callers, lines, names
from harness.crowd import Crowd, allow_files
from harness.kept import Kept
from harness.process import until

READERS = 1000
STALLED = 10
KIB_PER_STALLED = 40
STREAM = {"Accept": "application/x-ndjson"}


@pytest.fixture
def upstream(forwarders):
    return forwarders()


@pytest.fixture
def callers():
    running: list[Callers] = []

    def start(**head: str) -> Callers:
        running.append(Callers({name.replace("_", "-"): value for name, value in head.items()}))
        return running[-1]

    yield start
    for upstream in running:
        upstream.stop()


def crowd_of(proxy: Kept, orders, upstream, stalled: int) -> Crowd:
    """A hundred readers begin; the others join while pages come and after. Some stop after a random byte."""
    chance = random.Random(stalled)
    allow_files(3 * READERS)
    crowd = Crowd(("127.0.0.1", proxy.port), orders.path, orders.lines)
    upstream.close_gate(after=4)
    stall = [chance.randrange(10_000, len(orders.lines) // 2) for _ in range(stalled)]
    for at in range(100):
        crowd.join(stall[at] if at < stalled else None)
    joined = 100
    while joined < READERS:
        if joined == READERS // 2:
            upstream.open_gate()
        for _ in range(chance.randrange(1, 5)):
            crowd.read(0)
        for _ in range(min(chance.randrange(1, 20), READERS - joined)):
            crowd.join()
            joined += 1
            if joined == READERS // 2:
                upstream.open_gate()
    upstream.open_gate()
    return crowd


def test_a_thousand_readers_of_one_crawl(forwarders, kept, small_orders):
    """Random joins, ten that stall: one crawl, every byte for the others, 40 KiB at most for each that stalls."""
    # What chance adds to a peak differs by a megabyte from run to run: the least of several counts.
    peaks: dict[str, list[int]] = {"alone": [], "with ten stalled": []}
    upstream = forwarders(of=small_orders)
    for run, stalled in (("alone", 0), ("with ten stalled", STALLED)) * 3:
        proxy = kept(upstream, memory="4MiB", fresh_for="1m", opens="10000/s").start()
        asked = upstream.count()
        crowd = crowd_of(proxy, small_orders, upstream, stalled)
        try:
            seconds = crowd.run(120)
            assert crowd.ends() == {"whole": READERS - stalled} | ({"": stalled} if stalled else {})
            assert upstream.count() - asked == small_orders.pages, "more than one crawl"
            peaks[run].append(proxy.peak_kib())
            crowd.wake()
            crowd.run(120)
            assert crowd.ends() == {"whole": READERS}
        finally:
            crowd.close()
            upstream.open_gate()
            proxy.stop()
        print(
            f"{run}: {READERS - stalled} readers of {len(small_orders.lines)} bytes"
            f" in {seconds:.1f} s, peak RSS {peaks[run][-1]} KiB"
        )
    noise = max(peaks["alone"]) - min(peaks["alone"])
    cost = min(peaks["with ten stalled"]) - min(peaks["alone"])
    print(f"{cost} KiB for {STALLED} stalled, noise {noise} KiB")
    assert cost <= STALLED * KIB_PER_STALLED + noise


def test_stalled_readers_hold_nothing_but_their_sockets(upstream, kept, orders):
    """28 MB in a budget of 4: ten stop at the beginning, one reads all; then the ten continue from the file."""
    peaks = {}
    for stalled in (0, STALLED):
        proxy = kept(upstream, memory="4MiB").start()
        crowd = Crowd(("127.0.0.1", proxy.port), orders.path, orders.lines)
        try:
            for at in range(stalled):
                crowd.join(stalls_after=100_000 * (at + 1))
            crowd.join()
            crowd.run(60)
            peaks[stalled] = proxy.peak_kib()
            crowd.wake()
            crowd.run(60)
            assert crowd.ends() == {"whole": stalled + 1}
        finally:
            crowd.close()
            proxy.stop()
    print(f"peak RSS {peaks[0]} KiB alone, {peaks[STALLED]} KiB with {STALLED} stalled")
    assert peaks[STALLED] <= peaks[0] + STALLED * KIB_PER_STALLED + 2048, peaks


def test_a_stalled_reader_gives_way_where_there_is_no_room(upstream, kept, orders):
    """No disk and `slow_reader = "drop"`: who doesn't move for the time that is said is cut, and the other is whole."""
    proxy = kept(upstream, disk="0", memory="2MiB", slow_reader="drop", stall="1s").start()
    crowd = Crowd(("127.0.0.1", proxy.port), orders.path, orders.lines)
    try:
        slow = crowd.join(stalls_after=50_000)
        reader = crowd.join()
        crowd.run(60)
        assert reader.ended == "whole"
        crowd.wake()
        crowd.run(60)
        assert slow.ended == "cut", (slow.ended, slow.received)
    finally:
        crowd.close()


def credentials() -> dict[str, str]:
    """A caller: a name and a secret, in different header fields."""
    token = secrets.token_hex(8)
    return random.choice(
        [
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Basic {token}"},
            {"Cookie": f"session={token}"},
            {"X-Api-Key": token},
            {"Authorization": "Bearer shared", "X-Tenant": token},
            {"Authorization": "Bearer shared", "Cookie": f"tenant={token}"},
        ]
    )


def test_no_caller_sees_the_records_of_another(callers, kept):
    """A hundred callers, three times each and all at once, on one URL: each gets his own records, by one crawl each."""
    upstream = callers()
    proxy = kept(config=upstream.config(), fresh_for="1m", opens="100000/s").start()
    all_callers = [credentials() for _ in range(100)] + [{}]
    asked = random.sample(all_callers * 3, 3 * len(all_callers))
    with ThreadPoolExecutor(60) as threads:
        answers = list(threads.map(lambda who: stream(proxy, who), asked))
    for who, answer in zip(asked, answers, strict=True):
        assert answer.status_code == 200, answer.text
        assert answer.content == lines(names(who)), "records of another caller"
    assert upstream.calls == {names(who): PAGES for who in all_callers}
    # A pinned URL is no key: it needs its caller, too.
    pinned = {names(who): answer.headers["Content-Location"] for who, answer in zip(asked, answers, strict=True)}
    for who, other in zip(all_callers, all_callers[1:], strict=False):
        own = requests.get(proxy.url + pinned[names(who)], headers=who, timeout=60)
        assert own.content == lines(names(who))
        for headers in ({}, {"Range": "bytes=10-"}, {"If-None-Match": own.headers["ETag"]}):
            for method in ("GET", "HEAD"):
                foreign = requests.request(
                    method, proxy.url + pinned[names(who)], headers={**other, **headers}, timeout=60
                )
                assert foreign.status_code == 410, (foreign.status_code, headers)
        status = requests.get(proxy.url + pinned[names(who)] + "&_format=status", headers=other, timeout=60)
        assert status.status_code == 410
    assert upstream.calls.total() == PAGES * len(all_callers)


def near(who: dict[str, str], dice: random.Random) -> dict[str, str]:
    """A caller who differs in one field, and there in little."""
    name = dice.choice(list(who))
    value = who[name]
    changed = dice.choice([value[:-1], value + "0", value.swapcase(), value[:-1] + chr(ord(value[-1]) ^ 1), None])
    others = {key: kept for key, kept in who.items() if key != name}
    if changed is None:
        # The same secret in another field.
        return {**others, dice.choice([field for field in FIELDS if field != name]): value}
    return {**others, name: changed}


def test_random_pairs_of_callers_share_nothing(callers, kept):
    """Pairs who differ in a byte or a field, on a URL of the pair's own, both at once: 250, and 1,000 with UNPAGE_LONG."""
    upstream = callers()
    proxy = kept(config=upstream.config(), fresh_for="1m", opens="100000/s").start()
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    pairs = [(who, near(who, dice)) for who in (credentials() for _ in range(1000 if "UNPAGE_LONG" in os.environ else 250))]
    asked = [(number, who) for number, pair in enumerate(pairs) for who in pair]
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda one: stream(proxy, one[1], f"?pair={one[0]}"), asked))
    for (number, who), answer in zip(asked, answers, strict=True):
        assert answer.content == lines(names(who)), (pairs[number], answer.status_code)
    assert upstream.calls.total() == PAGES * len(asked)


@pytest.mark.parametrize(
    "head",
    [{"Cache_Control": "no-store"}, {"Set_Cookie": "session=1"}, {"Vary": "*"}],
    ids=lambda head: "-".join(head.values()),
)
def test_an_unshareable_answer_is_not_shared(head, callers, kept):
    """Ten callers without credentials at once: each has a crawl of his own, and what must not be stored isn't."""
    upstream = callers(**head)
    proxy = kept(config=upstream.config(), fresh_for="1m").start()
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: stream(proxy, {}), range(10)))
    assert all(answer.content == lines(names({})) for answer in answers)
    assert upstream.calls.total() == 10 * PAGES
    if "Cache_Control" in head:
        assert not [file for file in proxy.folder.iterdir() if file.suffix in (".ndjson", ".journal")]


def test_a_public_collection_is_one_crawl_for_all_callers_with_the_same_other_fields(callers, kept):
    """`public = true`: Authorization and Cookie are left away; who sends another field has a crawl of their own, as for any collection."""
    upstream = callers()
    proxy = kept(config=upstream.config("public = true\n"), fresh_for="1m").start()

    def own(fields: dict[str, str]) -> bytes:
        return lines(names({name: value for name, value in fields.items() if name not in ("Authorization", "Cookie")}))

    all_callers = [{"Authorization": f"Bearer {secrets.token_hex(8)}", "Cookie": "a=b"}, {}] * 20
    others = [{"X-Tenant": secrets.token_hex(8), "Authorization": "Bearer x"} for _ in range(5)]
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda fields: stream(proxy, fields), all_callers + others))
    assert [answer.content for answer in answers] == [own(fields) for fields in all_callers + others]
    assert upstream.calls.total() == PAGES * (1 + len(others))


def test_the_status_of_a_crawl(upstream, kept, orders):
    """The status resource agrees with the snapshot, while the crawl runs and after."""
    proxy = kept(upstream).start()
    upstream.close_gate(after=10)
    crowd = Crowd(("127.0.0.1", proxy.port), orders.path, orders.lines)
    try:
        reader = crowd.join()
        until(lambda: crowd.read(0.05) == 0 and reader.received > 2_000_000, "ten pages", 60)
        location = next(
            line.split(": ", 1)[1]
            for line in reader.head.decode().split("\r\n")
            if line.lower().startswith("content-location:")
        )
        url = f"{proxy.url}{location}&_format=status"
        running = requests.get(url, timeout=60).json()
        print(json.dumps(running, indent=2))
        assert running["state"] == "running"
        assert running["records"] == 10_000
        assert running["pages"] == 10
        assert running["bytes"] >= reader.received
        upstream.open_gate()
        crowd.run(60)
        complete = requests.get(url, timeout=60).json()
        print(json.dumps(complete, indent=2))
        assert complete["state"] == "complete"
        assert (complete["records"], complete["bytes"], complete["pages"]) == (100_000, len(orders.lines), orders.pages)
        listed = proxy.snapshots()
        assert [(one["state"], one["records"]) for one in listed] == [("complete", 100_000)]
        assert orders.path + "?" not in json.dumps(listed), "a query in the operator's list"
    finally:
        crowd.close()


def stream(proxy: Kept, who: dict[str, str], query: str = "") -> requests.Response:
    return requests.get(f"{proxy.url}/mine{query}", headers={**STREAM, **who}, timeout=60)
