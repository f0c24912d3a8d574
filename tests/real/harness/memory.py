"""Memory of a process, as Linux counts it."""

import re
from pathlib import Path


def status(process: int, name: str) -> int:
    """A size in /proc's status, in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024


def resident(process: int) -> int:
    return status(process, "VmRSS")


def peak_of(process: int) -> int:
    """The most that it held since the peak was reset."""
    return status(process, "VmHWM")


def reset_peak(process: int) -> int:
    """Lets the peak begin anew, and returns what is held now."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return resident(process)
