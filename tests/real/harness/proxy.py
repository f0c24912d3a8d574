"""unpage itself, in its two ways: `serve` as a process with an address, `fetch` as a command with a result."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import REPOSITORY, Child


def binary() -> Path:
    """The program under test: `$UNPAGE`, else the release build of this tree."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    path = Path(os.environ.get("UNPAGE", target / "release" / "unpage"))
    if not path.is_file():
        raise FileNotFoundError(f"no program to test, build it with `cargo build --release`: {path}")
    return path


def static_binary() -> Path:
    """A static debug build: `$UNPAGE_STATIC`, else the one that tests/all.sh has built of this tree."""
    return built("UNPAGE_STATIC", "static")


def tracing_binary() -> Path:
    """A debug build with the feature `otlp`: `$UNPAGE_OTLP`, else the one that tests/all.sh has built of this tree."""
    return built("UNPAGE_OTLP", "otlp")


def built(variable: str, folder: str) -> Path:
    """The program that this variable names, else the one in this folder of the builds."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return Path(os.environ.get(variable, target / folder / "unpage"))


def listening(child: Child) -> str:
    """The URL of the first TCP address on which a starting `unpage serve` listens."""
    return child.wait_for(r"listening on (https?://\S+:\d+)")[1]


class Serve:
    """A running `unpage serve` on a port of its own choice."""

    def __init__(
        self, arguments: list[str], log: Path, environment: dict[str, str] | None = None, program: Path | None = None
    ):
        self.child = Child([str(program or binary()), "serve", *arguments], log, environment)
        try:
            self.url = listening(self.child)
        except (TimeoutError, ChildProcessError):
            self.child.stop()
            print(self.child.said())
            raise


@dataclass
class Fetched:
    """Result of a finished `unpage fetch`."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def last_line(self) -> str:
        lines = self.stderr.strip().splitlines()
        return lines[-1] if lines else ""


def fetch(*arguments: str, environment: dict[str, str] | None = None) -> Fetched:
    """Runs `unpage fetch` to its end."""
    done = subprocess.run(
        [str(binary()), "fetch", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        timeout=120,
    )
    return Fetched(done.returncode, done.stdout, done.stderr.decode(errors="replace"))
