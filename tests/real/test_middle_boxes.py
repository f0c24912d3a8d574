"""Middle boxes that mark each request (Varnish's X-Varnish, HAProxy's unique id, nginx's X-Request-Start, Caddy's and
squid's own): clients behind them still share one crawl, and resume at their byte."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from harness.boxes import BOXES, Box, haproxy, nginx
from harness.client import STREAM
from harness.download import Curl
from harness.scripted import PAGES, WHOLE

MARKING = {
    "nginx": lambda: nginx(
        'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Request-Start "t=${msec}";'
        " proxy_set_header X-Request-ID $request_id; proxy_set_header X-Real-IP $remote_addr;"
        " proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    ),
    "HAProxy": lambda: haproxy("option forwardfor\n  unique-id-format %[uuid()]\n  unique-id-header X-Unique-ID"),
    **{name: BOXES[name] for name in ("Varnish", "squid", "Caddy 2.6", "Caddy 2.11")},
}


@pytest.fixture(params=MARKING)
def box(request, scripted, serve, tmp_path: Path):
    """A box before unpage, and the upstream behind it."""
    upstream = scripted()
    proxy = serve(config=f'[snapshots]\nfresh_for = "1m"\n\n{upstream.config()}')
    running = Box(MARKING[request.param](), tmp_path / "box", proxy.url)
    yield running, upstream
    running.stop()
    print(running.child.said())


def test_clients_behind_a_box_share_one_crawl(box):
    running, upstream = box
    get = lambda number: requests.get(  # noqa: E731
        f"{running.url}/orders", headers={"Accept": STREAM, "User-Agent": f"client-{number}"}, timeout=60
    )
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(get, range(5)))
    assert all(answer.content == WHOLE for answer in answers)
    assert upstream.calls == dict.fromkeys(range(1, PAGES + 1), 1)


def test_a_download_behind_a_box_resumes_at_its_byte(box, tmp_path: Path):
    running, upstream = box
    first = Curl(f"{running.url}/orders", tmp_path / "first.ndjson", "-f")
    assert first.begin().outcome().how == "whole"
    part = tmp_path / "part.ndjson"
    part.write_bytes(WHOLE[:54_321])
    resumed = Curl(running.url, part, "-f").go_on_at(first.pinned()).outcome()
    assert urlsplit(first.pinned()).netloc == urlsplit(running.url).netloc
    assert resumed.how == "whole", resumed
    assert part.read_bytes() == WHOLE
    # Varnish asks for all of it, in the client's coding, of which it serves no range.
    ranges = {"Range": "bytes=1000-1999", "Accept-Encoding": "identity"}
    ranged = requests.get(urljoin(running.url, first.pinned()), headers=ranges, timeout=60)
    assert (ranged.status_code, ranged.content) == (206, WHOLE[1000:2000])
    assert upstream.calls == dict.fromkeys(range(1, PAGES + 1), 1)
