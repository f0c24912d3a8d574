"""Forwarder between unpage and an API: counts pages, holds them back, and reports when a number of bytes has passed."""

import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from .scripted import Server

PIECE = 16 * 1024
#: The records of a page.
PAGE = 1000


class Forwarder:
    """A running forwarder at `url`. Each page is got from the API once: asked for again, it is the same bytes."""

    def __init__(self, api: str, latency: float = 0.0):
        self.api = api
        self.latency = latency
        self.lock = threading.Lock()
        self.pages: dict[str, bytes] = {}
        #: How often each page was asked for, by its path and query.
        self.calls: Counter[str] = Counter()
        #: The pages in the order in which they were asked for.
        self.asked: list[str] = []
        #: The body's bytes that have left.
        self.sent = 0
        self.marks: list[tuple[int, threading.Event]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed_after = 0
        self.stopped = threading.Event()
        self.server = Server(self.answer)
        self.url = self.server.url

    def page(self, path: str) -> bytes:
        if path not in self.pages:
            answer = requests.get(self.api + path, timeout=30)
            answer.raise_for_status()
            self.pages[path] = answer.content
        return self.pages[path]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        path = f"{url.path}?{urlencode(sorted(parse_qsl(url.query)))}"
        body = self.page(path)
        with self.lock:
            self.calls[path] += 1
            self.asked.append(path)
            closed = not self.gate.is_set() and self.calls.total() > self.closed_after
        if closed:
            self.gate.wait()
        if self.stopped.wait(self.latency):
            request.close_connection = True
            return
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        for start in range(0, len(body), PIECE):
            piece = body[start : start + PIECE]
            request.wfile.write(piece)
            self.passed(len(piece))

    def passed(self, count: int) -> None:
        with self.lock:
            self.sent += count
            due = [event for mark, event in self.marks if mark <= self.sent]
            self.marks = [(mark, event) for mark, event in self.marks if mark > self.sent]
        for event in due:
            event.set()

    def after(self, count: int) -> threading.Event:
        """An event that is set when so many more bytes have left."""
        event = threading.Event()
        with self.lock:
            self.marks.append((self.sent + count, event))
        return event

    def close_gate(self, after: int = 0) -> None:
        """Lets so many more requests pass; further ones are answered when the gate is open again."""
        with self.lock:
            self.closed_after = self.calls.total() + after
            self.gate.clear()

    def open_gate(self) -> None:
        self.gate.set()

    def count(self) -> int:
        return self.calls.total()

    def stop(self) -> None:
        self.stopped.set()
        self.gate.set()
        self.server.stop()


def listed(forwarder: Forwarder, path: str) -> tuple[bytes, int]:
    """The API's own list as NDJSON, each record as the API spells it; and how many pages it has."""
    lines, pages, at = [], 0, f"{path}?limit={PAGE}"
    while True:
        text = forwarder.page(at).decode()
        lines += records(text)
        pages += 1
        cursor = re.search(r'"meta":\{"next_cursor":(?:"([^"]+)"|null)\}\}\s*$', text)
        assert cursor, text[-200:]
        if cursor[1] is None:
            return "".join(lines).encode(), pages
        at = f"{path}?{urlencode({'cursor': cursor[1], 'limit': PAGE})}"


def records(page: str) -> list[str]:
    """The elements of the array at `data`, cut out of the page's own text."""
    decoder = json.JSONDecoder()
    at = page.index('"data":[') + len('"data":[')
    found = []
    while page[at] != "]":
        _, end = decoder.raw_decode(page, at)
        found.append(page[at:end] + "\n")
        at = end + (page[end] == ",")
    return found


def spent(begun: float) -> str:
    return f"{time.monotonic() - begun:.1f} s"
