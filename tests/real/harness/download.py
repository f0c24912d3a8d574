"""Downloads that resume, by common clients."""

from pathlib import Path
from urllib.parse import urljoin

from .client import STREAM, Running, by_status
from .process import until

ACCEPT = f"Accept: {STREAM}"


class Curl:
    """curl and its file. The head of its first answer names the URL under which it resumes."""

    def __init__(self, url: str, file: Path, *options: str):
        self.url = url
        self.file = file
        self.head = file.with_suffix(".head")
        self.options = options

    def begin(self) -> Running:
        self.file.unlink(missing_ok=True)
        self.head.unlink(missing_ok=True)
        dump = ["-D", str(self.head), "-H", ACCEPT]
        return Running([*self.command(), *dump, "-o", str(self.file), self.url], by_status)

    def go_on(self) -> Running:
        """As a person would: nothing but `-C -` and the pinned URL."""
        return self.go_on_at(self.pinned())

    def go_on_at(self, url: str, *, stream: bool = False) -> Running:
        accept = ["-H", ACCEPT] if stream else []
        return Running([*self.command(), *accept, "-C", "-", "-o", str(self.file), url], by_status)

    def command(self) -> list[str]:
        return ["curl", "-q", "-sS", "-N", *self.options]

    def pinned(self) -> str:
        location = field(self.head, "content-location")
        assert location, f"no Content-Location: {self.head.read_text()}"
        return urljoin(self.url, location)

    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def has(self, size: int, client: Running) -> None:
        """Waits until the file is so long, or the client has ended."""
        until(lambda: self.size() >= size or client.ended(), f"{size} bytes in {self.file.name}", 60)


def field(head: Path, name: str) -> str | None:
    """A header field of the last answer whose head stands in this file."""
    last = head.read_text().strip().split("\r\n\r\n")[-1].replace("\r\n", "\n").split("\n\n")[-1]
    fields = dict(line.split(":", 1) for line in last.splitlines()[1:] if ":" in line)
    return {key.lower(): value.strip() for key, value in fields.items()}.get(name)


def wget(url: str, file: Path, *options: str) -> Running:
    return Running(["wget", "--no-config", "-nv", *options, "-O", str(file), url], by_status)


def aria2(url: str, file: Path, *options: str) -> Running:
    """Four connections; pieces of a megabyte, the smallest that it knows."""
    command = ["aria2c", "--no-conf", "-x4", "-s4", "-k1M", "--file-allocation=none", "--console-log-level=warn"]
    return Running([*command, *options, "-d", str(file.parent), "-o", file.name, url], by_status)
