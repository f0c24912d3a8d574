"""A list that moves: a forwarder in front of a server, which writes to the server's store between two requests of a crawl.

No clock decides when a write comes: the forwarder lets one request through at a time, and writes behind the one that it was
told. So the pages that a crawl sees follow from the order of its requests alone."""

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import urllib3

from .scripted import Server
from .writers import Store

#: Fields that concern one connection, and those that the server of this forwarder writes itself.
OWN_FIELDS = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}

#: Numbers before the first order and behind the last one that a new order may have.
MARGIN = 40


@dataclass
class Crawl:
    """Writes behind requests of one crawl, and what they did."""

    #: Number of writes behind each request, counted from 1.
    due: Counter[int]
    dice: random.Random
    #: Numbers of the orders when it began.
    before: list[int]
    requests: int = 0
    #: Bytes of the bodies that came with each status.
    bytes: Counter[int] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    inserted: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    #: The orders at each moment, from the beginning on.
    states: list[list[int]] = field(default_factory=list)
    #: The writes in their order, each with the number of the request before it.
    log: list[str] = field(default_factory=list)

    def stayed(self) -> set[int]:
        """Orders that existed throughout."""
        return set(self.before) - self.deleted


class MovingList:
    """A running forwarder at `url`, and the orders behind it."""

    def __init__(self, api: str, store: Store):
        self.pool = urllib3.connection_from_url(api, maxsize=1, block=True, timeout=30)
        self.store = store
        self.lock = threading.Lock()
        self.numbers = store.numbers()
        self.crawl: Crawl | None = None
        self.server = Server(self.answer)
        self.url = self.server.url

    def begin(self, due: Counter[int], dice: random.Random) -> Crawl:
        """Watches a crawl, to which the requests belong from now on."""
        with self.lock:
            self.crawl = Crawl(due, dice, list(self.numbers), states=[list(self.numbers)])
            return self.crawl

    def restore(self) -> None:
        """Ends the crawl and undoes its writes."""
        with self.lock:
            crawl, self.crawl = self.crawl, None
            for number in set(self.numbers) - set(crawl.before):
                self.store.delete(number)
            for number in set(crawl.before) - set(self.numbers):
                self.store.insert(number)
            self.numbers = crawl.before
            assert self.store.numbers() == self.numbers, "the writer and the server's store disagree"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        with self.lock:
            fields = {name: value for name, value in request.headers.items() if name.lower() not in OWN_FIELDS}
            page = self.pool.request(
                "GET", request.path, headers=fields, retries=False, redirect=False, decode_content=False
            )
            if self.crawl:
                self.crawl.requests += 1
                self.crawl.statuses[page.status] += 1
                self.crawl.bytes[page.status] += len(page.data)
                for _ in range(self.crawl.due[self.crawl.requests]):
                    self.write(self.crawl)
        request.send_response(page.status)
        for name, value in page.headers.items():
            if name.lower() not in OWN_FIELDS:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(page.data)))
        request.end_headers()
        request.wfile.write(page.data)

    def write(self, crawl: Crawl) -> None:
        """One change: a record comes, goes, or one goes and another comes, so that no total tells it."""
        change = crawl.dice.choice(("insert", "delete", "swap"))
        if change != "insert":
            number = crawl.dice.choice(self.numbers)
            self.store.delete(number)
            self.numbers.remove(number)
            crawl.deleted.add(number)
            crawl.log.append(f"{crawl.requests}: delete {number}")
        if change != "delete":
            # A number never comes again, and none is like one that went.
            taken = {*self.numbers, *crawl.deleted}
            around = range(self.numbers[0] - MARGIN, self.numbers[-1] + MARGIN)
            free = [number for number in around if number not in taken]
            number = crawl.dice.choice(free)
            self.store.insert(number)
            self.numbers = sorted([*self.numbers, number])
            crawl.inserted.add(number)
            crawl.log.append(f"{crawl.requests}: insert {number}")
        crawl.states.append(list(self.numbers))

    def stop(self) -> None:
        self.server.stop()
        self.pool.close()
