"""`unpage demo` on its own and as an upstream: what the README's first command shows, and what a long stream costs."""

import re
import subprocess
import time
from pathlib import Path

import pytest
import requests
from harness.process import Child, until
from harness.proxy import binary

# A budget that both streams fill, so that what is kept of them is the same.
COLLECTION = """
[snapshots]
memory = "2MiB"

[[collection]]
path = "/cursor/orders"
upstream = "{api}"
records = "data"
page_size = {{ param = "limit", max = 1000 }}
pagination = {{ type = "cursor", next = "meta.next_cursor", param = "cursor" }}
"""
# The demo's pages are a megabyte in all for a thousand orders; a process that kept them would pass this many times over.
GROWTH = 16 * 1024


@pytest.fixture
def demo(tmp_path: Path):
    """Starts a demo that keeps serving, and returns the address of its legacy API."""
    running: list[Child] = []

    def start(records: int) -> str:
        options = ["--records", str(records), "--latency", "0ms", "--listen", "127.0.0.1:0"]
        child = Child([str(binary()), "demo", *options], tmp_path / f"demo-{records}.log")
        running.append(child)
        child.wait_for("Still serving", 120)
        return child.wait_for(r"answers at (http://[^/]+)/")[1]

    yield start
    for child in running:
        child.stop()


def test_the_demo_ends_after_one_stream():
    done = subprocess.run(
        [str(binary()), "demo", "--once", "--records", "5000", "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"streamed 5,000 records, .*; the first one came after [0-9.]+ s", done.stderr), done.stderr
    for way, pages in [
        ("by hand, 100 a page", 50),
        ("by hand, 1,000 a page", 5),
        ("unpage, 1,000 a page, several pages at a time", 6),
        ("unpage, 1,000 a page, each names the next one", 5),
    ]:
        assert re.search(rf"^{way}.* {pages} pages +[0-9.]+ s ", done.stderr, re.MULTILINE), done.stderr


def test_the_demo_says_what_changed_while_it_was_read():
    done = subprocess.run(
        [str(binary()), "demo", "--once", "--records", "20000", "--changes", "50/s", "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # A total that shrinks, a record that comes again, or neither where nothing has moved past a page.
    assert re.search(r"^numbered, several .* (broken: page \d+|complete: .*; unverified: )", done.stderr, re.M), done.stderr
    # Every record that stayed, once.
    assert re.search(r"^the same with .* complete: .*; (steady|mended): ", done.stderr, re.M), done.stderr
    assert re.search(r"^each page names .* complete: .*; unverified: ", done.stderr, re.M), done.stderr


def test_a_list_that_changes_is_served_alone(tmp_path: Path):
    options = ["--api-only", "--records", "40", "--changes", "1000/s", "--latency", "0ms"]
    child = Child([str(binary()), "demo", *options], tmp_path / "demo.log")
    try:
        child.wait_for("Still serving")
        url = child.wait_for(r"answers at (http://[^/]+)/")[1] + "/offset/orders"
        first = requests.get(url, timeout=10).json()
        changed = until(lambda: (page := requests.get(url, timeout=10).json()) != first and page, "a change")
        assert {page["total"] for page in (first, changed)} <= {40, 41}
    finally:
        child.stop()


def test_memory_does_not_grow_with_the_collection(demo, serve):
    peaks = {}
    for records in (10_000, 1_000_000):
        proxy = serve(config=COLLECTION.format(api=demo(records)))
        answer = requests.get(
            f"{proxy.url}/cursor/orders", headers={"Accept": "application/x-ndjson"}, stream=True, timeout=120
        )
        started = time.monotonic()
        lines = sum(piece.count(b"\n") for piece in answer.iter_content(1 << 20))
        assert lines == records
        status = Path(f"/proc/{proxy.child.process.pid}/status").read_text()
        peaks[records] = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
        print(f"{records} records: peak RSS {peaks[records]} kB, {time.monotonic() - started:.1f} s")
    assert abs(peaks[1_000_000] - peaks[10_000]) <= GROWTH, peaks
