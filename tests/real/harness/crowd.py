"""Many readers over raw sockets in one thread: some read all, some join late, some stop and continue later."""

import resource
import select
import socket
import time
from dataclasses import dataclass, field

from .client import STREAM

PIECE = 256 * 1024


def allow_files(count: int) -> None:
    """So many sockets are more than a shell's limit, mostly."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


@dataclass
class Member:
    """One HTTP/1.1 stream; its body is compared as it comes and thrown away."""

    socket: socket.socket
    #: It reads so many bytes, and then nothing for as long as it is told to.
    stalls_after: int | None = None
    head: bytes = b""
    #: What has come of the body that isn't decoded yet.
    raw: bytearray = field(default_factory=bytearray)
    received: int = 0
    ended: str = ""

    @property
    def stalled(self) -> bool:
        return self.stalls_after is not None and self.received >= self.stalls_after


class Crowd:
    """Everybody who reads one collection, which is `expected`."""

    def __init__(self, address: tuple[str, int], path: str, expected: bytes):
        self.address = address
        self.request = (
            f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nAccept: {STREAM}\r\nConnection: close\r\n\r\n"
        ).encode()
        self.expected = memoryview(expected)
        self.members: list[Member] = []
        #: Those whose socket is open, by its number, which is another's afterwards.
        self.open: dict[int, Member] = {}
        self.poll = select.epoll()
        self.buffer = bytearray(PIECE)

    def join(self, stalls_after: int | None = None) -> Member:
        connection = socket.socket()
        if stalls_after is not None:
            # What the kernel holds for one who doesn't read is as little as it can be.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(self.address)
        connection.sendall(self.request)
        connection.setblocking(False)
        member = Member(connection, stalls_after)
        self.members.append(member)
        self.open[connection.fileno()] = member
        self.poll.register(connection, select.EPOLLIN)
        return member

    def wake(self) -> None:
        """Those who stalled read on."""
        for number, member in self.open.items():
            if member.stalled:
                member.stalls_after = None
                self.poll.modify(number, select.EPOLLIN)

    def read(self, seconds: float) -> int:
        """Reads what is there, waiting for so long; says how many bytes of records that were."""
        count = 0
        for number, _ in self.poll.poll(seconds):
            member = self.open[number]
            before = member.received
            self.read_of(member)
            count += member.received - before
            if member.ended:
                self.poll.unregister(number)
                del self.open[number]
                member.socket.close()
            elif member.stalled:
                self.poll.modify(number, 0)
        return count

    def read_of(self, member: Member) -> None:
        try:
            size = member.socket.recv_into(self.buffer, 4096 if member.stalls_after is not None else PIECE)
        except BlockingIOError:
            return
        except ConnectionError as error:
            member.ended = type(error).__name__
            return
        if size == 0:
            member.ended = "cut"
            return
        member.raw += memoryview(self.buffer)[:size]
        if not member.head:
            end = member.raw.find(b"\r\n\r\n")
            if end < 0:
                return
            member.head = bytes(member.raw[: end + 4])
            del member.raw[: end + 4]
        self.take(member)

    def take(self, member: Member) -> None:
        if b"\r\ntransfer-encoding: chunked" not in member.head.lower():
            self.compare(member, member.raw)
            member.raw.clear()
            if member.received == len(self.expected):
                member.ended = "whole"
            return
        at = 0
        while (line := member.raw.find(b"\r\n", at)) >= 0:
            size = int(member.raw[at:line], 16)
            if len(member.raw) < line + 4 + size:
                break
            if size == 0:
                member.ended = "whole" if member.received == len(self.expected) else "short"
                return
            self.compare(member, memoryview(member.raw)[line + 2 : line + 2 + size])
            at = line + 4 + size
        del member.raw[:at]

    def compare(self, member: Member, piece) -> None:
        end = member.received + len(piece)
        if self.expected[member.received : end] != piece:
            member.ended = f"other bytes at {member.received}"
        member.received = end

    def left(self) -> int:
        """Number of readers that are active and not at their end."""
        return sum(1 for member in self.open.values() if not member.stalled)

    def run(self, seconds: float) -> float:
        """Reads until all who read have ended, and says how long that took."""
        begun = time.monotonic()
        while self.left():
            self.read(0.1)
            assert time.monotonic() < begun + seconds, f"{self.left()} readers aren't at their end after {seconds} s"
        return time.monotonic() - begun

    def ends(self) -> dict[str, int]:
        ends: dict[str, int] = {}
        for member in self.members:
            ends[member.ended] = ends.get(member.ended, 0) + 1
        return ends

    def close(self) -> None:
        for member in self.members:
            member.socket.close()
        self.poll.close()
