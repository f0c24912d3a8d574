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
        until(lambda: "Still serving" in child.said() or not child.running(), "the demo's stream", 120)
        return re.search(r"answers at (http://[^/]+)/", child.said())[1]

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
