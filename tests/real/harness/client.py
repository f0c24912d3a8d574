"""Clients that stream into a file, and readers that read what a client left there."""

import asyncio
import http.client
import json
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import duckdb
import httpx
import pandas
import requests

from .process import INSTALLED

STREAM = "application/x-ndjson"
APPS = Path(__file__).resolve().parents[1] / "apps"
SECONDS = 60


@dataclass
class Outcome:
    """Outcome of a client: "whole", or the sign by which it noticed a broken stream."""

    how: str
    detail: str = ""


class Running:
    """A client that is a process, under way."""

    def __init__(self, command: list[str], interpret: Callable[[int, str], Outcome]):
        self.interpret = interpret
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def outcome(self) -> Outcome:
        try:
            _, stderr = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.interpret(self.process.returncode, stderr.decode(errors="replace"))


def by_status(status: int, stderr: str) -> Outcome:
    return Outcome("whole" if status == 0 else f"exit {status}", stderr)


def curl(version: str) -> Callable[[str, Path], Running]:
    """curl, unbuffered, in this version of HTTP."""

    def start(url: str, file: Path) -> Running:
        command = ["curl", "-q", "-sSf", "-N", f"--{version}", "-H", f"Accept: {STREAM}"]
        return Running([*command, "-o", str(file), url], by_status)

    return start


def compressed(url: str, file: Path) -> Running:
    """curl, which asks for every coding that it has, and writes what it has decoded."""
    command = ["curl", "-q", "-sSf", "-N", "--compressed", "-H", f"Accept: {STREAM}"]
    return Running([*command, "-o", str(file), url], by_status)


def decoded_by(program: str, coding: str) -> Callable[[str, Path], Running]:
    """curl without a word on its end, and a program that decodes what it has passed on: the status is the program's."""

    def start(url: str, file: Path) -> Running:
        command = f"curl -q -sSf -N -H 'Accept: {STREAM}' -H 'Accept-Encoding: {coding}' \"$0\" | {program} > \"$1\""
        return Running(["bash", "-c", command, url, str(file)], by_status)

    return start


def node_fetch(url: str, file: Path) -> Running:
    """Node's fetch."""
    return Running([shutil.which("node") or "node", str(APPS / "fetch.mjs"), url, str(file)], by_status)


def wget(url: str, file: Path) -> Running:
    """wget, which otherwise asks again by itself where a stream broke."""
    command = ["wget", "--no-config", "-nv", "-t", "1", f"--header=Accept: {STREAM}", "-O", str(file), url]
    return Running(command, by_status)


def go(url: str, file: Path) -> Running:
    """Go's net/http."""
    return Running([str(compiled_go()), url, str(file)], by_status)


def java(url: str, file: Path) -> Running:
    """Java's HttpClient, in a machine that starts as fast as it can."""
    quickly = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
    return Running(["java", *quickly, "-cp", str(compiled_java()), "Stream", url, str(file)], by_status)


building = threading.Lock()


def compiled_go() -> Path:
    return compiled(APPS / "stream.go", "stream", lambda source, to: ["go", "build", "-o", str(to), str(source)])


def compiled_java() -> Path:
    """Folder of the class."""
    source = APPS / "Stream.java"
    return compiled(source, "Stream.class", lambda source, to: ["javac", "-d", str(to.parent), str(source)]).parent


def compiled(source: Path, name: str, command: Callable[[Path, Path], list[str]]) -> Path:
    """The program that a compiler makes of this file, made again when the file has changed."""
    program = INSTALLED / "clients" / name
    with building:
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            program.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(command(source, program), check=True, timeout=300)
    return program


def with_requests(url: str, file: Path) -> Outcome:
    with file.open("wb") as out:
        try:
            with requests.get(url, headers={"Accept": STREAM}, stream=True, timeout=SECONDS) as answer:
                answer.raise_for_status()
                for piece in answer.iter_content(chunk_size=None):
                    out.write(piece)
        except requests.RequestException as error:
            return Outcome(type(error).__name__, str(error))
    return Outcome("whole")


def marked(url: str, headers: dict[str, str] | None = None) -> tuple[bytes, bool]:
    """The body with an end marker that Python reads, and True if it ended well."""
    request = urllib.request.Request(url, headers={**(headers or {}), "Accept": f"{STREAM};end=marker"})
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        assert response.headers["Content-Type"] == f"{STREAM};end=marker"
        body = b""
        try:
            while piece := response.read1():
                body += piece
        except http.client.IncompleteRead as broken:
            return body + broken.partial, False
        return body, True


def with_httpx(**versions: bool) -> Callable[[str, Path], Outcome]:
    def run(url: str, file: Path) -> Outcome:
        with httpx.Client(timeout=SECONDS, **versions) as client, file.open("wb") as out:
            try:
                with client.stream("GET", url, headers={"Accept": STREAM}) as answer:
                    answer.raise_for_status()
                    for piece in answer.iter_bytes():
                        out.write(piece)
            except httpx.HTTPError as error:
                return Outcome(type(error).__name__, str(error))
        return Outcome("whole")

    return run


def with_aiohttp(url: str, file: Path) -> Outcome:
    async def run() -> None:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
            async with session.get(url, headers={"Accept": STREAM}) as answer:
                async for piece in answer.content.iter_any():
                    out.write(piece)

    with file.open("wb") as out:
        try:
            asyncio.run(run())
        except aiohttp.ClientError as error:
            return Outcome(type(error).__name__, str(error))
    return Outcome("whole")


def awaited(start: Callable[[str, Path], Running]) -> Callable[[str, Path], Outcome]:
    return lambda url, file: start(url, file).outcome()


#: Every client, and how it must notice a stream that broke.
CLIENTS: dict[str, tuple[Callable[[str, Path], Outcome], str]] = {
    "curl-http1.1": (awaited(curl("http1.1")), "exit 18"),
    "curl-http2-prior-knowledge": (awaited(curl("http2-prior-knowledge")), "exit 92"),
    "curl-compressed": (awaited(compressed), "exit 18"),
    "curl-into-gunzip": (awaited(decoded_by("gunzip", "gzip")), "exit 1"),
    "curl-into-zstd": (awaited(decoded_by("zstd -dqc", "zstd")), "exit 1"),
    "wget": (awaited(wget), "exit 4"),
    "requests": (with_requests, "ChunkedEncodingError"),
    "httpx-http1": (with_httpx(), "RemoteProtocolError"),
    "httpx-http2": (with_httpx(http1=False, http2=True), "RemoteProtocolError"),
    "aiohttp": (with_aiohttp, "ClientPayloadError"),
    "node-fetch": (awaited(node_fetch), "exit 18"),
    "go": (awaited(go), "exit 18"),
    "java": (awaited(java), "exit 18"),
}


def curl_into_jq(url: str) -> subprocess.CompletedProcess:
    """The usual pipe: its status is jq's alone, since a pipe forgets curl's."""
    command = f"curl -q -sN -H 'Accept: {STREAM}' '{url}' | jq -c .id"
    return subprocess.run(["bash", "-c", command], capture_output=True, timeout=SECONDS)


def with_jq(file: Path) -> list[int]:
    done = subprocess.run(["jq", "-c", ".id", str(file)], capture_output=True, timeout=SECONDS)
    if done.returncode != 0:
        raise ValueError(done.stderr.decode())
    return [json.loads(line) for line in done.stdout.splitlines()]


def with_pandas(file: Path) -> list[int]:
    return pandas.read_json(file, lines=True)["id"].tolist()


def with_duckdb(function: str) -> Callable[[Path], list[int]]:
    def read(file: Path) -> list[int]:
        with duckdb.connect() as database:
            return [row[0] for row in database.execute(f"select id from {function}('{file}')").fetchall()]

    return read


#: What reads a file of NDJSON, and the errors by which it refuses one.
READERS: dict[str, tuple[Callable[[Path], list[int]], type[Exception]]] = {
    "jq": (with_jq, ValueError),
    "pandas": (with_pandas, ValueError),
    "duckdb-read_json_auto": (with_duckdb("read_json_auto"), duckdb.Error),
    "duckdb-read_ndjson": (with_duckdb("read_ndjson"), duckdb.Error),
}


def parses(left: bytes) -> bool:
    """True if a reader of NDJSON takes this for a list."""
    try:
        return bool([json.loads(line) for line in left.splitlines()])
    except ValueError:
        return False
