"""An upstream that keeps to a script: twenty pages of a hundred records, and one page that goes wrong."""

import enum
import sys
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGES = 20
RECORDS = 100
FAILING = 7


class Fault(enum.Enum):
    """Failure of the failing page."""

    NONE = "it is like the others"
    ONCE = "its first answer is a 503, its second is good"
    REFUSED = "every answer is a 500"
    CUT = "every answer's connection is closed in the middle of the body"
    STALLED = "no answer comes until the upstream is stopped"


def record(number: int) -> bytes:
    """One record, spelled as no serialiser would spell it: what comes out must be these bytes."""
    return (
        f'{{"id": {number} ,"big":{2**63 - 1 - number}, "ratio":{number}.50e+1,'
        f'"text":"a \\u00e9\\n}}]{{ \\"{number}\\" №"}}'
    ).encode()


def lines(first_page: int, last_page: int) -> bytes:
    """The NDJSON of these pages."""
    numbers = range((first_page - 1) * RECORDS + 1, last_page * RECORDS + 1)
    return b"".join(record(number) + b"\n" for number in numbers)


#: The whole collection.
WHOLE = lines(1, PAGES)
#: What stands before the failing page. Its last record is held back by its last byte and its newline.
BEFORE_FAILURE = lines(1, FAILING - 1)


def features(body: bytes) -> bytes:
    """The same lines or page, whose records are Features, too."""
    return body.replace(b'{"id"', b'{"type":"Feature","id"')


def page(number: int, pages: int = PAGES) -> bytes:
    """The body of one of so many pages."""
    first = (number - 1) * RECORDS
    records = b",\n  ".join(record(first + at) for at in range(1, RECORDS + 1))
    following = f'"page-{number + 1}"' if number < pages else "null"
    return b'{"data":[\n  ' + records + f'\n],"next_cursor":{following}}}\n'.encode()


class Server(ThreadingHTTPServer):
    """A running server at `url`, which answers each GET by a function, in a thread of its own."""

    #: How a configuration file says what it serves.
    PAGINATION = '{ type = "cursor", next = "next_cursor", param = "cursor" }'
    daemon_threads = True

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # A page's head and body leave as they are written, or Nagle and delayed acknowledgements add 40 ms to each.
            disable_nagle_algorithm = True

            def do_GET(self):
                answer(self)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def collections(self, *paths: str, further: str = "") -> str:
        """The blocks of collections at these paths in a configuration file."""
        lines = f'upstream = "{self.url}"\nrecords = "data"\npagination = {self.PAGINATION}\n{further}'
        return "".join(f'[[collection]]\npath = "{path}"\n{lines}\n' for path in paths)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()

    def handle_error(self, request, client_address):
        """A proxy that hangs up, or is killed, is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def send_json(request: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    """Answers with a whole page."""
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


class Scripted:
    """A running upstream at `url`; the collection is at `/orders`."""

    PAGINATION = Server.PAGINATION

    def __init__(self, fault: Fault = Fault.NONE):
        self.fault = fault
        self.calls: Counter[int] = Counter()
        self.failing = threading.Event()
        self.stopped = threading.Event()
        self.server = Server(self.answer)
        self.url = self.server.url

    def config(self, further: str = "") -> str:
        """The collection's block in a configuration file, with retries that take no time."""
        return self.server.collections("/orders", further=f'key = "id"\nretry = {{ attempts = 2, base = "1ms" }}\n{further}')

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        if url.path != "/orders":
            return self.send(request, 404, b'{"error":"no such collection"}')
        number = int(parse_qs(url.query).get("cursor", ["page-1"])[0].removeprefix("page-"))
        self.calls[number] += 1
        fault = self.fault if number == FAILING else Fault.NONE
        if fault is not Fault.NONE:
            self.failing.set()
        match fault:
            case Fault.ONCE if self.calls[number] == 1:
                self.send(request, 503, b'{"error":"come again"}')
            case Fault.NONE | Fault.ONCE:
                self.send(request, 200, page(number))
            case Fault.REFUSED:
                self.send(request, 500, b'{"error":"never again"}')
            case Fault.CUT:
                body = page(number)
                self.send(request, 200, body[: len(body) // 2], length=len(body))
                request.close_connection = True
            case Fault.STALLED:
                self.stopped.wait()
                request.close_connection = True

    def send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, length: int | None = None) -> None:
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(length or len(body)))
        request.end_headers()
        request.wfile.write(body)

    def stop(self) -> None:
        self.stopped.set()
        self.server.stop()
