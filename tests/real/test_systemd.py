"""The units of contrib/systemd: sound, confined, and with all that unpage needs."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import requests
from harness.process import REPOSITORY, Child, until
from harness.proxy import binary, listening
from harness.scripted import WHOLE

UNITS = REPOSITORY / "contrib" / "systemd"
# Tenths; a service without any confinement has 9.6.
EXPOSURE = 15


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units for a program that is where it was built: systemd looks whether it is there."""
    for unit in UNITS.iterdir():
        text = unit.read_text()
        assert unit.suffix == ".socket" or text.count("/usr/bin/unpage ") == 2
        (tmp_path / unit.name).write_text(text.replace("/usr/bin/unpage ", f"{binary()} "))
    return tmp_path


def test_systemd_finds_no_mistake(units: Path):
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", units / "unpage.service", units / "unpage.socket"],
        capture_output=True,
        text=True,
    )
    # Units of the machine's own that it looks at, too, may have some.
    assert done.returncode == 0, done.stderr
    assert "unpage" not in done.stderr, done.stderr


def test_the_service_is_confined(units: Path):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", units / "unpage.service"],
        capture_output=True,
        text=True,
    )
    print(done.stdout.strip().splitlines()[-1])
    assert re.search(r"Overall exposure level for unpage.service: \d", done.stdout), done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def allowed(names: list[str]) -> set[str]:
    """The system calls of these groups."""
    calls = set()
    for name in names:
        if name.startswith("@"):
            text = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
            lines = [line.strip() for line in text.stdout.splitlines() if line.startswith("    ")]
            calls |= allowed([line for line in lines if not line.startswith("#")])
        else:
            calls.add(name)
    return calls


def test_the_filter_has_every_system_call(scripted, tmp_path: Path):
    """A stream into a file, a reload and a stop need no call that the unit forbids, and no memory that can be written and executed."""
    assert shutil.which("strace")
    text = (UNITS / "unpage.service").read_text()
    granted, denied = re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE)
    permitted = allowed(granted.split()) - allowed(denied.removeprefix("~").split())
    assert "read" in permitted and "chroot" not in permitted and len(permitted) > 200

    upstream, config, trace = scripted(), tmp_path / "unpage.toml", tmp_path / "trace"
    config.write_text(f'[snapshots]\ndir = "{tmp_path}/kept"\n{upstream.config()}')
    serve = [str(binary()), "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", str(config)]
    proxy = Child(["strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace), *serve], tmp_path / "log")
    try:
        assert requests.get(f"{listening(proxy)}/orders?_format=ndjson", timeout=60).content == WHOLE
        proxy.signal(signal.SIGHUP)
        until(lambda: "reloaded" in proxy.said(), "the reload")
    finally:
        proxy.stop()
    lines = trace.read_text().splitlines()
    used = {match[1] for line in lines if (match := re.match(r"\d+ +(?:<\.\.\. )?(\w+)[( ]", line))}
    assert {"accept4", "connect", "fsync", "pwrite64"} <= used, used
    print(f"{len(used)} system calls, {len(permitted)} allowed")
    assert used <= permitted, used - permitted
    assert not [line for line in lines if "PROT_WRITE|PROT_EXEC" in line]
