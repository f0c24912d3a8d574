"""Raw sockets: a server that sees the bytes of each request and decides those of each answer, and a client that sends any."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from typing import BinaryIO

#: Ends of heads. A request that ends otherwise is none.
END = b"\r\n\r\n"


class RawServer:
    """A running server at `url`. `answer` gets a connection and the head of a request, and returns True if it stays open."""

    def __init__(self, answer: Callable[[socket.socket, bytes], bool], host: str = "127.0.0.1"):
        self.answer = answer
        self.listener = socket.create_server((host, 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        """Answers requests until an answer closes the connection, or the client does. Bodies are read and dropped."""
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError, EOFError):
            while True:
                head = b""
                while not head.endswith(END):
                    head += line_of(stream)
                drop_body(stream, head)
                if not self.answer(connection, head.removesuffix(END)):
                    return

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def line_of(stream: BinaryIO) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return line


def drop_body(stream: BinaryIO, head: bytes) -> None:
    if field(head, "transfer-encoding"):
        while size := int(line_of(stream).split(b";")[0], 16):
            stream.read(size + 2)
        while line_of(stream) != b"\r\n":
            pass
    elif length := field(head, "content-length"):
        stream.read(int(length))


def field(head: bytes, name: str) -> str | None:
    """Value of the first header field of this name."""
    found = re.search(rb"(?i)\r\n" + name.encode() + rb": *([^\r\n]*)", head)
    return found[1].decode() if found else None


def target(head: bytes) -> str:
    return head.split(b" ")[1].decode()


def response(status: int, body: bytes, *fields: str) -> bytes:
    """A response with a length."""
    lines = [f"HTTP/1.1 {status} Status", "Content-Type: application/json", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + END + body


class Recorder:
    """An upstream that keeps the heads of all requests, and answers each with the same page of one record."""

    BODY = b'{"data":[{"id":1}],"next":null}'

    def __init__(self):
        self.heads: list[bytes] = []
        self.server = RawServer(self.answer)
        self.url = self.server.url

    def answer(self, connection: socket.socket, head: bytes) -> bool:
        self.heads.append(head)
        connection.sendall(response(200, self.BODY))
        return True

    def stop(self) -> None:
        self.server.stop()


def exchange(address: tuple[str, int], request: bytes, seconds: float) -> bytes:
    """All that a server says to these bytes until it closes the connection, or has said nothing for so long."""
    received = b""
    with socket.create_connection(address, timeout=10) as connection:
        connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            connection.sendall(request)
        with contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                received += piece
    return received
