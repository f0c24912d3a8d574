"""Load for a time by h2load, whole and left midway: neither memory nor descriptors grow."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from harness.client import STREAM
from harness.cuts import Cut, Cuts
from harness.frames import Connection
from harness.memory import resident
from harness.process import until

MIB = 1024 * 1024
#: Rounds of four seconds.
ROUNDS = 75 if "UNPAGE_LONG" in os.environ else 3


def load(url: str, *options: str) -> int:
    """Number of requests that h2load has answers of status 200 for, in four seconds or until all are done."""
    command = ["h2load", "-c", "10", "-H", f"Accept: {STREAM}", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(re.search(r"status codes: (\d+) 2xx", done.stdout)[1])


def leave(url: str, path: str, count: int) -> None:
    """Begins streams over HTTP/2 and hangs up, each on a connection of its own."""
    address = urlsplit(url)
    for _ in range(count):
        connection = Connection((address.hostname, address.port), window=1)
        connection.send(connection.request(path, ("accept", STREAM)))
        connection.close()


def test_nothing_grows_under_load(serve, tmp_path: Path):
    upstream = Cuts(20)
    try:
        proxy = serve(config=f'[snapshots]\nmemory = "16MiB"\ndisk = "0"\nfresh_for = "1s"\nkeep_for = "1s"\nlinger = "1s"\nopens = "1000000/min"\n\n{upstream.config()}')
        process = proxy.child.process.pid
        descriptors = lambda: len(list(Path(f"/proc/{process}/fd").iterdir()))  # noqa: E731
        whole = f"{proxy.url}/{Cut.NONE.value}/orders"
        # Sizes after a first round: buffers and pools are there.
        load(whole, "-n", "2000", "-m", "10")
        memory, sizes = resident(process), []
        opened = descriptors()
        for number in range(ROUNDS):
            count = load(whole, "-D", "2", "-m", "10") + load(whole, "-D", "1", "--h1")
            count += load(f"{proxy.url}/{Cut.BOUNDARY.value}/orders?round={number}", "-D", "1", "-m", "4")
            assert count > 0
            leave(proxy.url, f"/{Cut.NONE.value}/orders?round={number}", 100)
            sizes.append(resident(process))
        # Connections to the upstream stay for a while, at most `max_width` of them.
        until(lambda: descriptors() <= opened + 32, "descriptors to be closed", 30)
    finally:
        upstream.stop()
    grown = [f"{(size - memory) / MIB:+.1f}" for size in sizes]
    print(f"resident memory over {memory / MIB:.1f} MiB after each round: {', '.join(grown)} MiB")
    # The last round against the first: what grows once isn't a leak.
    assert sizes[-1] - sizes[0] <= 8 * MIB
    assert upstream.calls.total() > 0
