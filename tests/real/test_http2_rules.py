"""Frames and heads that RFC 9113 forbids: each ends its stream or its connection with the error that the RFC names, or with the general PROTOCOL_ERROR,
which hyper takes for some of them; none is answered, and no service sees one."""

import socket
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests
from harness.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    frame,
    frames,
    setting,
)
from harness.raw import RawServer, response, target
from hpack import Encoder

PROTOCOL, FLOW_CONTROL, STREAM_CLOSED, FRAME_SIZE, COMPRESSION = 1, 3, 5, 6, 9
PADDED = 8
WHOLE = END_STREAM | END_HEADERS
MOST = 2**31 - 1


def word(value: int) -> bytes:
    return struct.pack(">I", value)


def head(*changes: tuple[str, str], without: str = "", flags: int = WHOLE, path: str = "/forbidden") -> Callable[[Connection], bytes]:
    """A request whose fields are these in addition to the usual ones, but for one."""

    def raw(to: Connection) -> bytes:
        usual = [(":method", "GET"), (":scheme", "http"), (":authority", to.authority), (":path", path)]
        fields = [field for field in usual if field[0] != without] + list(changes)
        return frame(HEADERS, flags, 1, Encoder().encode(fields, huffman=False))

    return raw


def opened(*more: bytes) -> Callable[[Connection], bytes]:
    """A request that waits for its body, and these frames."""
    return lambda to: head(flags=END_HEADERS, path="/open")(to) + b"".join(more)


def ended(*more: bytes) -> Callable[[Connection], bytes]:
    """A whole request that has no answer yet, and these frames."""
    return lambda to: to.request("/held") + b"".join(more)


def alone(*raw: bytes) -> Callable[[Connection], bytes]:
    return lambda _: b"".join(raw)


#: The section of the RFC and the case, its bytes, and the codes of the error, of the connection or of the stream.
CASES: dict[str, tuple[Callable[[Connection], bytes], set[int]]] = {
    "4.2 DATA over the largest size": (opened(frame(DATA, 0, 1, bytes(16_385))), {FRAME_SIZE}),
    "4.2 SETTINGS over the largest size": (alone(frame(SETTINGS, payload=bytes(16_386))), {FRAME_SIZE}),
    "4.3 a head that is no HPACK": (alone(frame(HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff")), {COMPRESSION}),
    "4.3 PRIORITY inside a head": (
        lambda to: head(flags=END_STREAM)(to) + frame(PRIORITY, 0, 1, bytes(5)) + frame(CONTINUATION, END_HEADERS, 1),
        {PROTOCOL},
    ),
    "5.1 DATA on an idle stream": (alone(frame(DATA, END_STREAM, 1, b"a")), {PROTOCOL, STREAM_CLOSED}),
    "5.1 RST_STREAM on an idle stream": (alone(frame(RST_STREAM, 0, 1, word(8))), {PROTOCOL}),
    "5.1 WINDOW_UPDATE on an idle stream": (alone(frame(WINDOW_UPDATE, 0, 1, word(1))), {PROTOCOL}),
    "5.1 DATA behind the end": (ended(frame(DATA, END_STREAM, 1, b"a")), {STREAM_CLOSED}),
    "5.1 a head behind the end": (lambda to: ended()(to) + head()(to), {STREAM_CLOSED, PROTOCOL}),
    "5.1.1 a stream of an even number": (lambda to: frame(HEADERS, WHOLE, 2, to.block("/forbidden")), {PROTOCOL}),
    "6.1 DATA on the connection": (alone(frame(DATA, END_STREAM, 0, b"a")), {PROTOCOL}),
    "6.1 more padding than DATA": (opened(frame(DATA, PADDED | END_STREAM, 1, b"\x06abc")), {PROTOCOL}),
    "6.2 a head on the connection": (lambda to: frame(HEADERS, WHOLE, 0, to.block("/forbidden")), {PROTOCOL}),
    "6.2 more padding than head": (alone(frame(HEADERS, WHOLE | PADDED, 1, b"\x06abc")), {PROTOCOL}),
    "6.3 PRIORITY on the connection": (alone(frame(PRIORITY, 0, 0, bytes(5))), {PROTOCOL}),
    "6.3 PRIORITY of four bytes": (opened(frame(PRIORITY, 0, 1, bytes(4))), {FRAME_SIZE}),
    "6.4 RST_STREAM on the connection": (alone(frame(RST_STREAM, 0, 0, word(8))), {PROTOCOL}),
    "6.4 RST_STREAM of three bytes": (opened(frame(RST_STREAM, 0, 1, bytes(3))), {FRAME_SIZE}),
    "6.5 an acknowledgement with settings": (alone(frame(SETTINGS, ACK, 0, setting(4, 1))), {FRAME_SIZE}),
    "6.5 SETTINGS on a stream": (alone(frame(SETTINGS, 0, 1, setting(4, 1))), {PROTOCOL}),
    "6.5 SETTINGS of five bytes": (alone(frame(SETTINGS, 0, 0, bytes(5))), {FRAME_SIZE}),
    "6.5.2 ENABLE_PUSH of 2": (alone(frame(SETTINGS, 0, 0, setting(2, 2))), {PROTOCOL}),
    "6.5.2 a window over the largest": (alone(frame(SETTINGS, 0, 0, setting(4, MOST + 1))), {FLOW_CONTROL}),
    "6.5.2 MAX_FRAME_SIZE below the least": (alone(frame(SETTINGS, 0, 0, setting(5, 16_383))), {PROTOCOL}),
    "6.5.2 MAX_FRAME_SIZE over the largest": (alone(frame(SETTINGS, 0, 0, setting(5, 2**24))), {PROTOCOL}),
    "6.6 PUSH_PROMISE of a client": (opened(frame(PUSH, END_HEADERS, 1, word(2))), {PROTOCOL}),
    "6.7 PING on a stream": (alone(frame(PING, 0, 1, bytes(8))), {PROTOCOL}),
    "6.7 PING of six bytes": (alone(frame(PING, 0, 0, bytes(6))), {FRAME_SIZE}),
    "6.8 GOAWAY on a stream": (alone(frame(GOAWAY, 0, 1, bytes(8))), {PROTOCOL}),
    "6.9 a window that grows by 0": (alone(frame(WINDOW_UPDATE, 0, 0, word(0))), {PROTOCOL}),
    "6.9 a stream's window that grows by 0": (opened(frame(WINDOW_UPDATE, 0, 1, word(0))), {PROTOCOL}),
    "6.9 WINDOW_UPDATE of three bytes": (alone(frame(WINDOW_UPDATE, 0, 0, bytes(3))), {FRAME_SIZE}),
    "6.9.1 a window over the largest": (alone(frame(WINDOW_UPDATE, 0, 0, word(MOST))), {FLOW_CONTROL}),
    "6.9.1 a stream's window over the largest": (
        opened(frame(WINDOW_UPDATE, 0, 1, word(MOST)), frame(WINDOW_UPDATE, 0, 1, word(MOST))),
        {FLOW_CONTROL},
    ),
    "6.10 CONTINUATION of no head": (opened(frame(CONTINUATION, END_HEADERS, 1)), {PROTOCOL}),
    "6.10 CONTINUATION on the connection": (
        lambda to: head(flags=END_STREAM)(to) + frame(CONTINUATION, END_HEADERS, 0),
        {PROTOCOL},
    ),
    "8.1.1 less DATA than content-length": (
        lambda to: head(("content-length", "5"), flags=END_HEADERS, path="/open")(to) + frame(DATA, END_STREAM, 1, b"abc"),
        {PROTOCOL},
    ),
    "8.1.1 more DATA than content-length": (
        lambda to: head(("content-length", "2"), flags=END_HEADERS, path="/open")(to) + frame(DATA, END_STREAM, 1, b"abc"),
        {PROTOCOL},
    ),
    "8.2 a field in upper case": (head(("X-A", "1")), {PROTOCOL}),
    "8.2.2 connection": (head(("connection", "keep-alive")), {PROTOCOL}),
    "8.2.2 transfer-encoding": (head(("transfer-encoding", "chunked")), {PROTOCOL}),
    "8.2.2 te of another value": (head(("te", "gzip")), {PROTOCOL}),
    "8.3 an unknown pseudo-field": (head((":unknown", "1")), {PROTOCOL}),
    "8.3 a response's pseudo-field": (head((":status", "200")), {PROTOCOL}),
    "8.3 a pseudo-field behind a field": (head(("x-a", "1"), (":path", "/forbidden"), without=":path"), {PROTOCOL}),
    "8.3.1 no :method": (head(without=":method"), {PROTOCOL}),
    "8.3.1 no :scheme": (head(without=":scheme"), {PROTOCOL}),
    "8.3.1 no :path": (head(without=":path"), {PROTOCOL}),
    "8.3.1 an empty :path": (head((":path", ""), without=":path"), {PROTOCOL}),
    "8.3.1 two :method": (head((":method", "GET")), {PROTOCOL}),
}


@pytest.fixture(scope="module")
def upstream():
    """Answers `/held` when the connection ends, all else at once."""
    asked: list[str] = []

    def answer(connection: socket.socket, request: bytes) -> bool:
        asked.append(target(request))
        return asked[-1] == "/held" and connection.recv(1) == b"" or connection.sendall(response(200, b"{}")) is None

    running = RawServer(answer)
    running.asked = asked
    yield running
    running.stop()


@pytest.fixture
def proxy(upstream, serve):
    collection = f'[[collection]]\npath = "/{{*rest}}"\nupstream = "{upstream.url}"\nrecords = "$"\npagination = "none"\n'
    return serve(config=f'[limits]\nhead = "1s"\nidle = "2s"\n\n{collection}')


def address_of(proxy) -> tuple[str, int]:
    url = urlsplit(proxy.url)
    return url.hostname, url.port


def first_error(connection: Connection) -> int | str:
    """Code of the first error; text where an answer or the end comes before."""
    for kind, _, _, payload in frames(connection.socket):
        if kind in (GOAWAY, RST_STREAM):
            return int.from_bytes(payload[4:8] if kind == GOAWAY else payload[:4])
        if kind == HEADERS:
            return "an answer"
    return "the end"


def test_what_the_rfc_forbids_is_an_error_and_nothing_else(upstream, proxy):
    wrong = []
    for name, (raw, allowed) in CASES.items():
        connection = Connection(address_of(proxy), window=65_535)
        connection.send(raw(connection))
        found = first_error(connection)
        connection.close()
        if found not in allowed | {PROTOCOL}:
            wrong.append(f"{name}: {found}, not {allowed}")
    print(f"{len(CASES)} cases, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)
    assert "/forbidden" not in upstream.asked
    assert requests.get(f"{proxy.url}/good", timeout=10).status_code == 200
    assert upstream.asked[-1] == "/good"


def test_a_preface_of_another_protocol_is_refused(proxy):
    with socket.create_connection(address_of(proxy), timeout=10) as connection:
        connection.sendall(PREFACE[:-4] + b"XX\r\n")
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert not received or b" 400 " in received.split(b"\r\n")[0], received


def test_what_the_rfc_lets_pass_is_answered(upstream, proxy):
    """Unknown frames, settings and flags, a head in pieces, padding, PRIORITY, PING: the answer is whole."""
    connection = Connection(address_of(proxy), window=65_535)
    block = connection.block("/passed")
    raw = frame(0xEE, 0xFF, 0, b"unknown") + frame(SETTINGS, 0, 0, setting(0xAAAA, 1)) + frame(PRIORITY, 0, 5, bytes(5))
    raw += frame(PING, 0, 0, b"12345678")
    raw += frame(HEADERS, END_STREAM | PADDED, 1, b"\x02" + block[:5] + b"\0\0")
    raw += frame(CONTINUATION, 0, 1, block[5:9]) + frame(CONTINUATION, END_HEADERS, 1, block[9:])
    connection.send(raw)
    pinged, body = False, b""
    for kind, flags, stream, payload in frames(connection.socket):
        pinged |= kind == PING and flags == ACK and payload == b"12345678"
        if kind == DATA and stream == 1:
            body += payload
            if flags & END_STREAM:
                break
    connection.close()
    assert pinged and body == b"{}"
    assert upstream.asked[-1] == "/passed"
