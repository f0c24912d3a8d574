"""Answers that a network cuts at each of their last bytes, in each format: no client and reader together take one for whole."""

import json
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import requests
from harness.client import Outcome, wget
from harness.forms import FORMS, ids, query
from harness.raw import END, RawServer, target
from harness.scripted import RECORDS, Server, features, page, send_json

LAST = 64
#: Formats that show a cut between two records by their own end, also where the client does not.
ENDED = ("json", "geojson", "arrow", "parquet")
PAGES = 2
WHOLE = list(range(1, PAGES * RECORDS + 1))
ALL = ["ndjson", *FORMS]


@pytest.fixture(scope="module")
def last_page():
    """Set: the upstream answers with its last page, too."""
    return threading.Event()


@pytest.fixture(scope="module")
def upstream(last_page):
    def answer(request) -> None:
        _, _, cursor = request.path.partition("cursor=page-")
        number = int(cursor or 1)
        if number == PAGES:
            last_page.wait(30)
        send_json(request, features(page(number, PAGES)))

    server = Server(answer)
    yield server
    last_page.set()
    server.stop()


def whole_answer(address: tuple[str, int], request: bytes, last_page: threading.Event, *, held: bool) -> bytes:
    """All that a server answers. Held: the upstream's last page comes when the head has been read."""
    if not held:
        last_page.set()
    received = b""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(request)
        while piece := connection.recv(65536):
            received += piece
            if END in received:
                last_page.set()
    return received


@pytest.fixture
def answers(upstream, last_page, kept):
    """Bytes of the answers, by format: of a stream that grows, of a complete one with its length, and of one whose head announces a close."""
    proxy = kept(config=upstream.collections("/orders"), fresh_for="0").start()
    found = {}
    for form in ALL:
        path = f"/orders?{query(form, 'id,text')}"
        for kind, wait in [("complete", f"&_snapshot=~{form}&_wait=complete"), ("growing", "")]:
            request = f"GET {path}{wait} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            last_page.clear()
            growing = kind == "growing" and form != "parquet"
            # Arrow's head waits for more records than these, whose types are in it, and never tells a length before the end.
            raw = whole_answer(("127.0.0.1", proxy.port), request.encode(), last_page, held=growing and form != "arrow")
            assert raw.startswith(b"HTTP/1.1 200 "), raw[:500]
            assert (b"\r\ncontent-length: " in raw[: raw.index(END)].lower()) is not growing, raw[:500]
            found[form, kind] = raw.replace(b"\r\nconnection: close\r\n", b"\r\n", 1)
            found[form, "closing"] = raw
    return found


@pytest.fixture
def cutting(answers):
    """A server of the answers. Path: format, kind, and number of bytes that are missing."""

    def answer(connection: socket.socket, head: bytes) -> bool:
        _, form, kind, missing = target(head).split("/")
        raw = answers[form, kind]
        connection.sendall(raw[: len(raw) - int(missing)])
        return False

    server = RawServer(answer)
    yield server.url
    server.stop()


def with_curl(urls: list[str], place: Path) -> list[tuple[Outcome, bytes]]:
    """One process for all."""
    lines = "".join(f'url = "{url}"\noutput = "{place / str(number)}"\n' for number, url in enumerate(urls))
    (place / "config").write_text(lines)
    command = ["curl", "-q", "-s", "-K", str(place / "config"), "-w", "%{exitcode}\n"]
    said = subprocess.run(command, capture_output=True, timeout=120, text=True).stdout.split()
    assert len(said) == len(urls)
    return [(Outcome("whole" if status == "0" else status), left(place / str(number))) for number, status in enumerate(said)]


def with_wget(urls: list[str], place: Path) -> list[tuple[Outcome, bytes]]:
    def one(number: int) -> tuple[Outcome, bytes]:
        file = place / str(number)
        return wget(urls[number], file).outcome(), left(file)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(len(urls))))


def with_node(urls: list[str], place: Path) -> list[tuple[Outcome, bytes]]:
    """One process for all, by Node's fetch."""
    script = f"""
        const fs = require('fs');
        (async () => {{
            for (const [number, url] of {json.dumps(urls)}.entries()) {{
                try {{
                    fs.writeFileSync('{place}/' + number, Buffer.from(await (await fetch(url)).arrayBuffer()));
                    console.log('whole');
                }} catch (error) {{ console.log('error'); }}
            }}
        }})();
    """
    said = subprocess.run(["node", "-e", script], capture_output=True, timeout=120, check=True, text=True).stdout.split()
    return [(Outcome(how), left(place / str(number))) for number, how in enumerate(said)]


def with_httpx(urls: list[str], place: Path) -> list[tuple[Outcome, bytes]]:
    with httpx.Client(timeout=30) as client:
        return with_python(client.get)(urls, place)


def with_python(get) -> list[tuple[Outcome, bytes]]:
    def read(urls: list[str], _place: Path) -> list[tuple[Outcome, bytes]]:
        found = []
        for url in urls:
            try:
                found.append((Outcome("whole"), get(url).content))
            except (requests.RequestException, httpx.HTTPError) as error:
                found.append((Outcome(type(error).__name__), b""))
        return found

    return read


def left(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def numbers(form: str, body: bytes) -> list[int] | None:
    if form != "ndjson":
        return ids(form, body)
    try:
        return [json.loads(line)["id"] for line in body.splitlines()]
    except ValueError:
        return None


CLIENTS = {
    "curl": (with_curl, ALL),
    "requests": (with_python(lambda url: requests.get(url, timeout=30)), ALL),
    "httpx": (with_httpx, ALL),
    "node": (with_node, ALL),
    # With a cut inside of a chunk it exits with 0: docs/clients.md.
    "wget": (with_wget, ENDED),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_no_answer_that_lost_its_last_bytes_is_taken_for_whole(client, cutting, tmp_path: Path):
    run, forms = CLIENTS[client]
    # Node's fetch takes the end of a connection that closes for the end of the answer: docs/clients.md.
    kinds = lambda form: ("growing", "complete", "closing") if form in ENDED else ("growing", "complete")  # noqa: E731
    cases = [(form, kind, missing) for form in forms for kind in kinds(form) for missing in range(LAST + 1)]
    outcomes = run([f"{cutting}/{form}/{kind}/{missing}" for form, kind, missing in cases], tmp_path)
    for (form, kind, missing), (outcome, body) in zip(cases, outcomes, strict=True):
        said = f"{form}, {kind}, without the last {missing} bytes: {outcome.how}, {len(body)} bytes"
        if missing == 0:
            assert outcome.how == "whole" and numbers(form, body) == WHOLE, said
        elif outcome.how == "whole":
            # The end of the last chunk may be all that is missing.
            assert numbers(form, body) in (None, WHOLE), said
