"""Child processes: started with their output in a file, waited for by a condition, and stopped by their own id."""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
INSTALLED = REPOSITORY / "target" / "real"


class Child:
    """One process in a group of its own, so that what it starts ends with it."""

    def __init__(
        self, command: list[str], output: Path, environment: dict[str, str] | None = None, folder: Path | None = None
    ):
        self.command = command
        self.output = output
        with output.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                start_new_session=True,
                cwd=folder,
            )

    def said(self) -> str:
        """Everything that it wrote so far."""
        return self.output.read_text(errors="replace")

    def running(self) -> bool:
        return self.process.poll() is None

    def wait_for(self, pattern: str, seconds: float = 30) -> re.Match:
        """Waits until its output has this regular expression, and fails with the output if it ends before."""
        until(lambda: re.search(pattern, self.said()) or not self.running(), f"{pattern!r} in {self.output}", seconds)
        # It may have said it last of all.
        said = self.said()
        if found := re.search(pattern, said):
            return found
        raise ChildProcessError(f"it ended with status {self.process.returncode} before it said {pattern!r}:\n{said}")

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """kill -9, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def stop(self) -> None:
        """Asks it to end, and makes it end where it doesn't."""
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()


def until(condition: Callable[[], object], what: str, seconds: float = 30):
    """Polls until the condition holds, and returns what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise TimeoutError(f"waited {seconds} s in vain for {what}")


#: Ports that a server of this run has, or is about to have.
TAKEN: set[int] = set()


def free_port() -> int:
    """A port without a listener, below the range that outgoing connections take theirs from: none of them can have
    it before the server that it is for. It is given once in a run: its server may not listen yet."""
    for port in random.sample(sorted(set(range(20_000, 32_000)) - TAKEN), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            TAKEN.add(port)
            return port
    raise OSError("no free port among 200 that were tried")
