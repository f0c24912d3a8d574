"""The dashboard in a real browser: its script, its policy, its contrast and labels, and a thousand crawls."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from harness.process import INSTALLED, until

CRAWLS = 1000
#: Folder for screenshots, where `$UNPAGE_SHOTS` names one.
SHOTS = [os.environ["UNPAGE_SHOTS"]] if "UNPAGE_SHOTS" in os.environ else []
APP = Path(__file__).parent / "apps" / "dashboard.mjs"


class Endless:
    """An upstream whose lists never end: page 1 comes at once, all others when the test is over. Lists of `/refused` are refused."""

    def __init__(self):
        self.asked = 0
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.answer, "127.0.0.1", 0, backlog=2048))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        # The tasks that wait are dropped with the process: their end is no news.
        self.loop.set_exception_handler(lambda *_: None)
        self.loop.run_forever()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            self.asked += 1
            if b"cursor=" in head:
                await asyncio.sleep(3600)
            refused = head.startswith(b"GET /refused")
            body = {"error": "<b>no such list</b>"} if refused else {"data": [{"id": at} for at in range(100)], "total": 240, "next": "2"}
            text = json.dumps(body).encode()
            status = b"400 Bad Request" if refused else b"200 OK"
            writer.write(b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(text), text))
            await writer.drain()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


async def open_streams(url: str, numbers: range) -> list[asyncio.StreamWriter]:
    """Asks for the streams of lists with these numbers, and waits for the head of each."""
    host, port = url.removeprefix("http://").split(":")

    async def one(number: int):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /v1/lists/{number} HTTP/1.1\r\nhost: {host}:{port}\r\naccept: application/x-ndjson\r\n\r\n".encode())
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        return writer

    return await asyncio.gather(*[one(number) for number in numbers])


def look(admin: str, views: str) -> dict:
    """What the browser finds."""
    command = ["node", str(APP), str(INSTALLED / "npm"), shutil.which("chromium") or "chromium", f"{admin}/", views, *SHOTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["errors"] == []
    return found


@pytest.fixture
def dashboard(serve):
    """A proxy with a dashboard before an upstream whose lists never end; and the dashboard's URL."""
    upstream = Endless()
    collection = f'upstream = "{upstream.url}"\nrecords = "data"\ntotal = "total"\npagination = {{ type = "cursor", next = "next", param = "cursor" }}\n'
    config = (
        'admin = "127.0.0.1:0"\nadmin_actions = true\n[snapshots]\ndisk = "0"\ncrawls = 2000\nopens = "60000/min"\n'
        f'[[collection]]\npath = "/v1/lists/{{id}}"\nmax_width = 1000\n{collection}'
        f'[[collection]]\npath = "/refused"\n{collection}'
    )
    proxy = serve(config=config)
    found = until(lambda: re.search(r"metrics at (http://\S+)/metrics", proxy.child.said()), "the operator's address")
    yield proxy, found[1]
    upstream.stop()
    assert upstream.asked > 0


def read(url: str) -> list:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def test_the_dashboard_in_a_browser(dashboard):
    proxy, admin = dashboard
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(f"{proxy.url}/refused", headers={"accept": "application/x-ndjson"}), timeout=20)
    loop = asyncio.new_event_loop()
    streams = loop.run_until_complete(open_streams(proxy.url, range(6)))
    found = look(admin, "looks")
    assert found["violations"] == []
    assert found["wide"] == [], "the page is wider than the window"
    assert found["narrow"] == [], "the box with the command is too narrow, or not in the window"
    assert found["live"] == ["live"] * 6
    for text in ["/v1/lists/{id}", "<b>no such list</b>", "at best unverified", "Cancel"]:
        assert text in found["no_script"], text

    streams += loop.run_until_complete(open_streams(proxy.url, range(6, CRAWLS)))
    assert len(read(f"{admin}/crawls.json")) == CRAWLS
    found = look(admin, "events")
    # A figure of the machine's, and of all that runs beside: it is printed, and no bound.
    print(f"tasks of more than 50 ms in {found['frames']} events of {CRAWLS} crawls: {found['long_tasks']}")
    assert (found["rows"], found["frames"] >= 10) == (200, True)
    assert "200 of 1,000 rows" in found["no_script"]
    for stream in streams:
        stream.close()
    loop.close()
