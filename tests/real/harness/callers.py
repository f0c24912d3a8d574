"""An upstream that answers each caller with records that name him, as an API does that shows people what is theirs."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from .scripted import Server

PAGES = 5
RECORDS = 50
#: Where callers put what proves who they are.
FIELDS = ("Authorization", "Cookie", "X-Api-Key", "X-Tenant")


def names(fields) -> str:
    """Caller, as the upstream understands it."""
    return "|".join(fields.get(name, "-") for name in FIELDS)


def lines(caller: str) -> bytes:
    """All that is this caller's."""
    return b"".join(record(caller, number) + b"\n" for number in range(PAGES * RECORDS))


def record(caller: str, number: int) -> bytes:
    return f'{{"id":{number},"caller":{json.dumps(caller)}}}'.encode()


class Callers:
    """A running upstream at `url`; the collection is at `/mine`. `head` is put into the head of every answer."""

    def __init__(self, head: dict[str, str] | None = None):
        self.calls: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.head = head or {}
        self.server = Server(self.answer)
        self.url = self.server.url

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        caller = names(request.headers)
        with self.lock:
            self.calls[caller] += 1
        page = int(parse_qs(urlsplit(request.path).query).get("cursor", ["0"])[0])
        following = f'"{page + 1}"' if page + 1 < PAGES else "null"
        numbers = range(page * RECORDS, (page + 1) * RECORDS)
        records = b",".join(record(caller, number) for number in numbers)
        body = b'{"data":[' + records + f'],"next_cursor":{following}}}'.encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        for name, value in self.head.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def config(self, further: str = "") -> str:
        return self.server.collections("/mine", further=further)

    def stop(self) -> None:
        self.server.stop()
