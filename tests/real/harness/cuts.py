"""An upstream whose paths say at which place the list breaks: `/whole/orders`, `/in-first-page/orders` and so on."""

import enum
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from .scripted import Server, features, lines, page


class Cut(enum.Enum):
    """Place at which a list of pages breaks, and where that is seen: page, and part of its body that comes."""

    NONE = "whole"
    #: The page after the middle is refused, so that what came ends with a record.
    BOUNDARY = "at-boundary"
    INSIDE = "in-record"
    FIRST_PAGE = "in-first-page"
    LAST_PAGE = "in-last-page"


class Cuts:
    """A running upstream at `url` with so many pages below each path."""

    def __init__(self, pages: int):
        self.pages = pages
        self.whole = features(lines(1, pages))
        #: Requests, by cut and by the value of `client` in the query.
        self.calls: Counter[tuple[str, str]] = Counter()
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.server = Server(self.answer)
        self.url = self.server.url

    def config(self) -> str:
        """One collection for each cut, whose pages are asked for once."""
        return self.server.collections(*(f"/{cut.value}/orders" for cut in Cut), further="retry = { attempts = 1 }\n")

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        name = url.path.split("/")[1]
        with self.lock:
            self.calls[name, query.get("client", [""])[0]] += 1
        number = int(query.get("cursor", ["page-1"])[0].removeprefix("page-"))
        body = features(page(number, self.pages))
        status, sent = self.part(Cut(name), number, body)
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[:sent])
        if sent < len(body):
            # What came of the first page is on its way to the client when it breaks, or the answer were a status.
            self.stopped.wait(0.05)
            request.close_connection = True

    def part(self, cut: Cut, number: int, body: bytes) -> tuple[int, int]:
        """Status of a page, and number of its body's bytes that come."""
        middle = (self.pages + 1) // 2
        match cut:
            case Cut.BOUNDARY if number == middle + 1:
                return 404, len(body)
            case Cut.INSIDE if number == middle:
                return 200, body.index(b'"text"', len(body) // 2)
            case Cut.FIRST_PAGE if number == 1:
                return 200, body.index(b'"text"', len(body) // 2)
            case Cut.LAST_PAGE if number == self.pages:
                return 200, len(body) - 3
            case _:
                return 200, len(body)

    def stop(self) -> None:
        self.stopped.set()
        self.server.stop()
