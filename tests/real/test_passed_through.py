"""Answers that are passed through and break: no client takes one for whole, also over HTTP/1.0 and behind a box that speaks it."""

import socket
import struct
from pathlib import Path

import pytest
from harness.boxes import BOXES, Box
from harness.client import Running, by_status
from harness.raw import END, RawServer, response

BODY = b"".join(b'{"id":%d}\n' % number for number in range(30_000))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked" + END


def chunks(body: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 1000]), body[at : at + 1000]) for at in range(0, len(body), 1000))


HALF = BODY[: len(BODY) // 2]
#: What the upstream sends, and True if it resets the connection behind it.
BREAKS: dict[str, tuple[bytes, bool]] = {
    "between-chunks": (CHUNKED + chunks(HALF), False),
    "inside-a-chunk": (CHUNKED + chunks(HALF)[:-700], False),
    "before-the-last-chunk": (CHUNKED + chunks(BODY), False),
    "reset-between-chunks": (CHUNKED + chunks(HALF), True),
    "short-of-its-length": (HEAD + b"Content-Length: %d" % len(BODY) + END + HALF, False),
    "reset-short-of-its-length": (HEAD + b"Content-Length: %d" % len(BODY) + END + HALF, True),
}
WHOLE = {"chunked": CHUNKED + chunks(BODY) + b"0\r\n\r\n", "with-a-length": response(200, BODY)}
PATHS = [*BREAKS, *WHOLE]


@pytest.fixture
def upstream():
    calls: list[str] = []

    def answer(connection: socket.socket, head: bytes) -> bool:
        name = head.split(b" ")[1].decode().strip("/")
        calls.append(name)
        raw, is_reset = BREAKS.get(name) or (WHOLE[name], False)
        connection.sendall(raw)
        if is_reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return name in WHOLE

    running = RawServer(answer)
    running.calls = calls
    yield running
    running.stop()


#: Caddy 2.6 ends every broken answer cleanly, whatever is behind it: docs/middle-boxes.md says so.
WAYS = ["directly", *(name for name in BOXES if name != "Caddy 2.6")]


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_answer_is_never_whole(way, upstream, serve, tmp_path: Path):
    """Clients that don't ask for a stream; whole answers are exact."""
    proxy = serve(upstream=upstream.url)
    box = Box(BOXES[way](), tmp_path / "box", proxy.url) if way in BOXES else None
    # Behind a box HTTP/1.0 is the box's own: what it has got whole or broken by HTTP/1.1 it ends with the connection.
    versions = ["http1.1"] if box else ["http1.0", "http1.1", "http2-prior-knowledge"]
    problems = []
    try:
        for version in versions:
            for path in PATHS:
                file = tmp_path / f"{version}-{path}"
                command = ["curl", "-q", "-sSf", f"--{version}", "-o", str(file), f"{box.url if box else proxy.url}/{path}"]
                outcome = Running(command, by_status).outcome()
                left = file.read_bytes() if file.exists() else b""
                said = f"{version}, {way}, {path}: {outcome.how}, {len(left)} of {len(BODY)} bytes, {outcome.detail.strip()}"
                print(said)
                if (outcome.how == "whole") != (path in WHOLE) or (path in WHOLE and left != BODY):
                    problems.append(said)
    finally:
        if box:
            box.stop()
    assert set(upstream.calls) == set(PATHS)
    assert not problems, "\n".join(problems)
