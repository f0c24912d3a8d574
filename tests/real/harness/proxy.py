"""unpage itself, in its two ways: `serve` as a process with an address, `fetch` as a command with a result."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import REPOSITORY, Child, until


def binary() -> Path:
    """The program under test: `$UNPAGE`, else the release build of this tree."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    path = Path(os.environ.get("UNPAGE", target / "release" / "unpage"))
    if not path.is_file():
        raise FileNotFoundError(f"no program to test, build it with `cargo build --release`: {path}")
    return path


class Serve:
    """A running `unpage serve` on a port of its own choice."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str] | None = None):
        self.child = Child([str(binary()), "serve", *arguments], log, environment)
        try:
            found = until(
                lambda: not self.child.running() or re.search(r"listening on (https?://\S+:\d+)", self.child.said()),
                "unpage serve to listen",
            )
            if not isinstance(found, re.Match):
                raise ChildProcessError(f"unpage serve ended with status {self.child.process.returncode}")
        except (TimeoutError, ChildProcessError) as error:
            self.child.stop()
            raise RuntimeError(f"{error}; it said:\n{self.child.said()}") from error
        self.url = found[1]


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
