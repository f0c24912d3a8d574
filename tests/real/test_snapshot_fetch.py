"""`unpage fetch --output FILE` resumes: killed and run again, its file is the API's own list."""

import csv
import gzip
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.process import until
from harness.proxy import binary, fetch
from harness.scripted import FAILING, PAGES, WHOLE, Fault

PAGINATION = '{ type = "cursor", next = "meta.next_cursor", param = "cursor" }'


@pytest.fixture
def upstream(forwarders):
    return forwarders(latency=0.003)


def command(upstream, orders, file: Path) -> list[str]:
    """A fetch of the demo's orders into this file."""
    options = ["--pagination", PAGINATION, "--records", "data", "--key", "id", "--page-size", "limit=1000"]
    return [f"{upstream.url}{orders.path}", *options, "--output", str(file)]


def begin(arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [str(binary()), "fetch", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def begin_and_kill(arguments: list[str], moment: Callable[[], bool], what: str) -> None:
    """Begins a fetch, and kills it at this moment."""
    running = begin(arguments)
    until(lambda: moment() or running.poll() is not None, what, 60)
    assert running.poll() is None, "it ended before it was killed"
    running.kill()
    running.wait()


def beside(file: Path) -> set[str]:
    """The names of what a fetch has made."""
    return {name.name for name in file.parent.iterdir() if name.name.startswith(file.name)}


def test_a_fetch_survives_every_kill(upstream, orders, tmp_path: Path):
    chance = random.Random(11)
    file = tmp_path / "orders.ndjson"
    arguments = command(upstream, orders, file)
    for kills in range(1, 11):
        passed = upstream.after(chance.randrange(1, len(orders.lines) // 12))
        begin_and_kill(arguments, passed.is_set, "bytes from the upstream")
        assert not file.exists(), f"an incomplete file has the name of a whole one after kill {kills}"
    done = fetch(*arguments)
    assert done.status == 0, done.stderr
    assert file.read_bytes() == orders.lines
    assert beside(file) == {file.name}
    twice = upstream.count() - orders.pages
    print(f"10 kills, {twice} pages fetched twice")
    # The page under way, and now and then the one before it, whose line in the journal was still on its way.
    assert twice <= 20


def test_a_table_survives_every_kill(upstream, orders, tmp_path: Path):
    """Also one while it is encoded, which is most of the last runs."""
    chance = random.Random(12)
    file = tmp_path / "orders.csv.gz"
    arguments = [*command(upstream, orders, file), "--columns", "id,total"]
    for kills in range(1, 7):
        passed = upstream.after(chance.randrange(1, len(orders.lines) // 12))
        begin_and_kill(arguments, passed.is_set, "bytes from the upstream")
        assert not file.exists(), f"an incomplete file has the name of a whole one after kill {kills}"
    begin_and_kill(arguments, (tmp_path / "orders.csv.gz.part.encoded").exists, "the encoding")
    asked = upstream.count()
    done = fetch(*arguments)
    assert done.status == 0, done.stderr
    assert upstream.count() == asked, "the encoding needs no request"
    records = [json.loads(line, parse_float=str) for line in orders.lines.splitlines()]
    expected = [[record["id"], record["total"]] for record in records]
    with gzip.open(file, "rt", newline="") as text:
        assert list(csv.reader(text, strict=True)) == [["id", "total"], *expected]
    assert beside(file) == {file.name}


def test_a_fetch_that_broke_resumes_when_it_is_run_again(scripted, tmp_path: Path):
    upstream = scripted(fault=Fault.CUT)
    file = tmp_path / "orders.ndjson"
    pagination = '{ type = "cursor", next = "next_cursor", param = "cursor" }'
    arguments = [f"{upstream.url}/orders", "--pagination", pagination, "--records", "data", "--output", str(file)]
    broken = fetch(*arguments)
    assert broken.status == 4, broken.stderr
    assert not file.exists()
    before = upstream.calls.copy()
    upstream.fault = Fault.NONE
    done = fetch(*arguments)
    assert done.status == 0, done.stderr
    assert file.read_bytes() == WHOLE
    assert beside(file) == {file.name}
    asked = upstream.calls - before
    assert asked == dict.fromkeys(range(FAILING, PAGES + 1), 1)


def test_two_fetches_of_one_file_do_not_meet(upstream, orders, tmp_path: Path):
    """The second one says that the first is there, and the first is whole."""
    file = tmp_path / "orders.ndjson"
    arguments = command(upstream, orders, file)
    upstream.close_gate(after=10)
    first = begin(arguments)
    passed = tmp_path / "orders.ndjson.part"
    until(lambda: passed.exists() and passed.stat().st_size > 1_000_000, "some pages")
    second = fetch(*arguments)
    assert second.status == 1, second.stderr
    upstream.open_gate()
    assert first.wait(timeout=60) == 0
    assert file.read_bytes() == orders.lines


def test_a_complete_file_is_replaced_only_by_a_complete_one(upstream, orders, tmp_path: Path):
    file = tmp_path / "orders.ndjson"
    file.write_bytes(b"the last run's\n")
    arguments = command(upstream, orders, file)
    passed = upstream.after(3_000_000)
    running = begin(arguments)
    assert passed.wait(timeout=60)
    running.kill()
    running.wait()
    assert file.read_bytes() == b"the last run's\n"
    assert fetch(*arguments).status == 0
    assert file.read_bytes() == orders.lines
