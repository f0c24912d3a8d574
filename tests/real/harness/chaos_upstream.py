"""The upstream of chaos: five dialects of pagination, and a wire that cuts, resets, stalls, corrupts and mixes up answers."""

import gzip
import json
import re
import socket
import struct
import threading
from collections import Counter
from urllib.parse import parse_qs, urlsplit

from .chaos_case import Case, Fault, record
from .raw import RawServer, field, response, target

CONFIG = """\
[upstream.{dialect}]
url = "{url}"
width = {width}
http = "1.1"
timeouts = {{ connect = "5s", head = "2s", idle = "300ms" }}
retry = {{ attempts = 4, base = "1ms", cap = "1s" }}
"""
STYLES = {
    "cursor": '{ type = "cursor", next = "next", param = "cursor" }',
    "link": '{ type = "link_header" }',
    "page": '{ type = "page", param = "page" }\npage_size = { param = "limit", value = SIZE }',
    "offset": '{ type = "offset", param = "offset" }\npage_size = { param = "limit", value = SIZE }',
    "keyset": '{ type = "keyset", key = "id", param = "after", more = { path = "more" } }',
}
STATUS = {Fault.BUSY: 503, Fault.THROTTLED: 429, Fault.FAILED: 500, Fault.UNAUTHORISED: 401}


class ChaosUpstream:
    """A running upstream at `url` of the cases that were added to it."""

    def __init__(self):
        self.cases: dict[int, Case] = {}
        self.lock = threading.Lock()
        #: Requests, by case and page.
        self.calls: Counter[tuple[int, int]] = Counter()
        #: One entry a request, for the judge.
        self.log: list[dict] = []
        self.mark: tuple[int, threading.Event] | None = None
        self.server = RawServer(self.answer)
        self.url = self.server.url

    def config(self, cases: list[Case]) -> str:
        """A collection for each case, since each has pages of its own size."""
        blocks = [
            CONFIG.format(url=self.url, dialect=dialect, width=1 if dialect == "offset" else 6)
            for dialect in sorted({case.dialect for case in cases})
        ]
        for case in cases:
            style = STYLES[case.dialect].replace("SIZE", str(case.page))
            blocks.append(
                f'[[collection]]\npath = "{case.path}"\nupstream = "{case.dialect}"\nrecords = "data"\nkey = "id"\n'
                f'total = "total"\npagination = {style}\n'
            )
        return "\n".join(blocks)

    def after(self, requests: int) -> threading.Event:
        """An event that is set when so many more requests have come."""
        event = threading.Event()
        with self.lock:
            self.mark = (len(self.log) + requests, event)
        return event

    def answer(self, connection: socket.socket, head: bytes) -> bool:
        """Answers one request; returns True if the connection can be used again."""
        url = urlsplit(target(head))
        case = self.cases[int(url.path.split("/")[2])]
        page = asked(case, parse_qs(url.query))
        fault = self.arrived(case, page, field(head, "authorization") or "")
        raw = answered(case, page, fault)
        body = raw.index(b"\r\n\r\n") + 4
        middle = body + max(1, (len(raw) - body) // 2)
        match fault:
            case Fault.CUT:
                connection.sendall(raw[:middle])
            case Fault.RESET:
                connection.sendall(raw[:middle])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case Fault.STALL:
                connection.sendall(raw[:middle])
                # Until the proxy hangs up.
                connection.recv(1)
            case Fault.LONG:
                connection.sendall(lengthened(raw, 7))
            case Fault.SHORT:
                connection.sendall(lengthened(raw, -7))
            case Fault.GARBLED:
                connection.sendall(b"HTTQ/1.1 2\x000 OK\r\n" + raw.split(b"\r\n", 1)[1])
            case Fault.CORRUPT:
                # In gzip the checksum tells, in JSON a character that it doesn't have.
                wrong = bytes([raw[middle] ^ 0x55]) if case.is_gzip else b"\x00"
                connection.sendall(raw[:middle] + wrong + raw[middle + 1 :])
            case Fault.SILENT:
                pass
            case Fault.DRIP:
                for at in range(0, len(raw), 97):
                    connection.sendall(raw[at : at + 97])
                return True
            case Fault.TWICE:
                connection.sendall(raw + raw)
                return True
            case _:
                connection.sendall(raw)
                return True
        return False

    def arrived(self, case: Case, page: int, caller: str) -> Fault | None:
        """Notes a request, and returns the fault of its answer."""
        with self.lock:
            self.calls[case.seed, page] += 1
            fault, attempts = case.faults.get(page, (None, 0))
            if self.calls[case.seed, page] > attempts:
                fault = None
            self.log.append({"case": case.seed, "page": page, "fault": fault and fault.value, "caller": caller})
            if self.mark and len(self.log) >= self.mark[0]:
                self.mark[1].set()
        return fault

    def stop(self) -> None:
        self.server.stop()


def asked(case: Case, query: dict[str, list[str]]) -> int:
    """Number of the page, from 0, that a request asks for."""
    value = lambda name, default: int(query.get(name, [default])[0])  # noqa: E731
    match case.dialect:
        case "page":
            return value("page", "1") - 1
        case "offset":
            return value("offset", "0") // case.page
        case "keyset":
            return value("after", "0") // case.page
        case _:
            return value("cursor", "0")


def answered(case: Case, page: int, fault: Fault | None) -> bytes:
    """An answer as it goes over the wire, before the wire does something to it."""
    if status := STATUS.get(fault):
        body = b'{"error":"not now"}'
        return response(status, body, *(["Retry-After: 0"] if status in (429, 503) else []))
    shown = page + (fault is Fault.AHEAD) - (fault is Fault.AGAIN)
    numbers = range(shown * case.page + 1, min((shown + 1) * case.page, case.records) + 1)
    following = page + 1 if page + 1 < case.pages else None
    if fault is Fault.LOOP:
        following = max(page - 3, 0)
    total = case.records - (case.page if fault is Fault.SHRUNK else 0)
    envelope = {"total": total}
    fields = []
    match case.dialect:
        case "cursor":
            envelope["next"] = None if following is None else str(following)
        case "keyset":
            envelope["more"] = following is not None
        case "link" if following is not None:
            fields.append(f'Link: <{case.path}?cursor={following}>; rel="next"')
    records = b",".join(record(case.seed, number) for number in numbers)
    body = b'{"data":[' + records + b"]," + json.dumps(envelope)[1:].encode()
    if case.is_gzip:
        body = gzip.compress(body, mtime=0)
        fields.append("Content-Encoding: gzip")
    return response(200, body, *fields)


def lengthened(raw: bytes, by: int) -> bytes:
    """The same under a length that is wrong by so much."""
    return re.sub(rb"Content-Length: (\d+)", lambda told: b"Content-Length: %d" % (int(told[1]) + by), raw, count=1)
