"""Folders that stand for a machine or a container: a command in one sees nothing of this machine but its network."""

import os
import subprocess
from pathlib import Path

#: Only root may change the root of a process.
AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]


def inside(root: Path, *command: str | Path, user: str = "0:0") -> list[str]:
    """The command that runs another one in a root, as a user and group by their numbers."""
    return [*AS_ROOT, "chroot", f"--userspec={user}", "--groups=", str(root), *map(str, command)]


def run(*command: str | Path, status: int = 0, **options) -> str:
    """Runs a command to its end, whose status has to be this one. Returns all that it said."""
    done = subprocess.run(
        [*map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=120,
        **options,
    )
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
