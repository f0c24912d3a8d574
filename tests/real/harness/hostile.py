"""A hostile upstream: links that lead elsewhere, in each place where a link can stand, and pages that want all memory."""

import gzip
import json
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import brotli
import zstandard

from .raw import END, RawServer, response, target

#: Spellings of this machine's address and of names that an upstream could choose.
HOSTS = (
    *("127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "0", "localhost", "LOCALHOST", "[::1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "①②⑦.0.0.1", "127。0。0。1", "%31%32%37.0.0.1", "１２７.0.0.1"),
)
#: Links to the canary: HOST and PORT are its own, UP is the upstream's authority.
LINKS = (
    "http://HOST:PORT/x",
    "HTTP://HOST:PORT/x",
    "//HOST:PORT/x",
    "\\\\HOST:PORT\\x",
    "/\\HOST:PORT/x",
    "http:\\\\HOST:PORT/x",
    "http:///HOST:PORT/x",
    "ht\ttp://HOST:PORT/x",
    " http://HOST:PORT/x",
    "http://UP@HOST:PORT/x",
    "http://user:UP@HOST:PORT/x",
    "http://HOST:PORT#@UP/x",
    "http://HOST:PORT?@UP/x",
    "http://HOST:PORT\\@UP/x",
    "http://UP\\@HOST:PORT/x",
    "http://HOST:000PORT/x",
    "https://HOST:PORT/x",
    "ftp://HOST:PORT/x",
)


def links(canary: int, upstream: str) -> list[str]:
    """Hostile links, none of them twice."""
    return [
        link.replace("UP", upstream).replace("HOST", host).replace("PORT", str(canary)) for host in HOSTS for link in LINKS
    ]


class Canary:
    """A port that nothing may connect to, over IPv4 and IPv6."""

    def __init__(self):
        self.contacts: list[bytes] = []
        self.v4 = socket.create_server(("127.0.0.1", 0))
        self.port = self.v4.getsockname()[1]
        self.v6 = socket.create_server(("::1", self.port), family=socket.AF_INET6)
        for listener in (self.v4, self.v6):
            threading.Thread(target=self.accept, args=[listener], daemon=True).start()

    def accept(self, listener: socket.socket) -> None:
        try:
            while True:
                connection, _ = listener.accept()
                connection.settimeout(2)
                with connection:
                    try:
                        self.contacts.append(connection.recv(4096))
                    except OSError:
                        self.contacts.append(b"")
        except OSError:
            return

    def stop(self) -> None:
        for listener in (self.v4, self.v6):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


class Linking:
    """An upstream whose first page leads to link N, in a header field, in the body, or by a redirect of page 2."""

    PLACES = ("field", "body", "redirect")
    BODY = {"data": [{"id": 1}, {"id": 2}]}

    def __init__(self, canary: int):
        self.calls: Counter[str] = Counter()
        self.server = RawServer(self.answer)
        self.url = self.server.url
        self.links = links(canary, urlsplit(self.url).netloc)

    def config(self) -> str:
        link, url = '{ type = "link_header" }', '{ type = "next_url", next = "next" }'
        return "\n".join(
            f'[[collection]]\npath = "/{place}/{{number}}"\nupstream = "{self.url}"\nrecords = "data"\n'
            f"pagination = {link if place == 'field' else url}\nretry = {{ attempts = 1 }}\n"
            for place in self.PLACES
        )

    def answer(self, connection: socket.socket, head: bytes) -> bool:
        url = urlsplit(target(head))
        self.calls[url.path] += 1
        _, place, *rest = [*url.path.split("/"), "", ""]
        fields, body = [], dict(self.BODY)
        if place not in self.PLACES or not rest[0].isdigit():
            # A link that is none of the canary's, but a path of this server.
            body = {"data": [{"id": 3}], "next": None}
        elif place == "field":
            fields.append(f'Link: <{self.links[int(rest[0])]}>; rel="next"')
        elif place == "body":
            body["next"] = self.links[int(rest[0])]
        elif "page=2" in url.query:
            sent = f"HTTP/1.1 302 Found\r\nLocation: {self.links[int(rest[0])]}\r\nContent-Length: 0"
            connection.sendall(sent.encode() + END)
            return True
        else:
            body["next"] = f"{url.path}?page=2"
        text = response(200, json.dumps(body).encode())
        connection.sendall(text.replace(END, "".join(f"\r\n{field}" for field in fields).encode() + END, 1))
        return True

    def stop(self) -> None:
        self.server.stop()


MIB = 1024 * 1024
#: Six times what unpage holds of one record.
SIZE = 96 * MIB


def text(inside: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: b'{"data":[{"id":1},' + inside() + b'],"next":null}'


#: Pages that are large where a reader would hold them.
PAGES: dict[str, Callable[[], bytes]] = {
    "a long record": text(lambda: b'{"id":"' + b"a" * SIZE + b'"}'),
    "a long name": text(lambda: b'{"' + b"a" * SIZE + b'":1}'),
    "a long number": text(lambda: b'{"id":' + b"1" * SIZE + b"}"),
    "white space": text(lambda: b" " * SIZE + b"1"),
    "white space in a record": text(lambda: b'{"id":' + b" " * SIZE + b"2}"),
    "depth": text(lambda: b"[" * SIZE),
    "depth of objects": text(lambda: b'{"a":' * (SIZE // 5)),
    "names of one record": text(lambda: b"{" + b'"a":1,' * (SIZE // 6) + b'"id":2}'),
    "a long next": lambda: b'{"next":"/' + b"a" * SIZE + b'","data":[{"id":1}]}',
    "names beside the records": lambda: b"{" + b'"a":1,' * (SIZE // 24) + b'"data":[{"id":1}],"next":null}',
}
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, 1),
    "deflate": lambda body: zlib.compress(body, 1),
    "br": lambda body: brotli.compress(body, quality=1),
    "zstd": lambda body: zstandard.ZstdCompressor(1).compress(body),
}


class Bombing:
    """An upstream of pages that were small on the wire: `/NAME-OF-PAGE/CODING`, prepared before they are asked for."""

    def __init__(self):
        self.calls: Counter[str] = Counter()
        self.prepared: dict[str, bytes] = {}
        self.server = RawServer(self.answer)
        self.url = self.server.url

    def prepare(self, page: str) -> list[str]:
        """Paths of a page in each coding."""
        body = PAGES[page]()
        paths = []
        for coding, encode in CODINGS.items():
            path = f"/{page.replace(' ', '-')}/{coding}"
            self.prepared[path] = response(200, encode(body), f"Content-Encoding: {coding}")
            paths.append(path)
        return paths

    def config(self) -> str:
        return (
            f'[[collection]]\npath = "/{{page}}/{{coding}}"\nupstream = "{self.url}"\nrecords = "data"\n'
            'pagination = { type = "next_url", next = "next" }\nretry = { attempts = 1 }\n'
        )

    def answer(self, connection: socket.socket, head: bytes) -> bool:
        path = urlsplit(target(head)).path
        self.calls[path] += 1
        connection.sendall(self.prepared[path])
        return True

    def stop(self) -> None:
        self.server.stop()
