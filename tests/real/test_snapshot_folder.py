"""The folder of the snapshots: whose it is, what stays in it, and what becomes of streams when it takes no more."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import requests
from harness.boxes import listens
from harness.download import Curl
from harness.kept import OBEYS_MODES, collection
from harness.process import Child, free_port, until
from harness.proxy import Serve, binary
from harness.scripted import FAILING, WHOLE, Fault

MIB = 1 << 20
STREAM = {"Accept": "application/x-ndjson"}


@pytest.fixture
def upstream(forwarders):
    return forwarders(latency=0.001)


@pytest.fixture
def tmpfs(tmp_path: Path):
    """A file system of four megabytes: mounted, where this machine lets us."""
    folder = tmp_path / "tmpfs"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", str(folder)], capture_output=True
    )
    yield folder if mounted.returncode == 0 else None
    if mounted.returncode == 0:
        subprocess.run(["umount", "-l", str(folder)], check=True)


#: Python ignores SIGXFSZ, and its children keep ignoring it: a write beyond the limit fails and kills no process.
LIMITED = ["python3", "-c", "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"]


@pytest.mark.parametrize("way", ["disk", "file-size", "file-system"])
def test_a_full_disk_is_no_end_of_a_stream(way, tmpfs, upstream, kept, orders, tmp_path: Path):
    """28 MB into 4: a reader gets all of it, and the log says once that the folder is full."""
    if way == "disk":
        proxy = kept(upstream, disk="4MiB", memory="8MiB")
    elif way == "file-system" and tmpfs:
        proxy = kept(upstream, dir=str(tmpfs / "snapshots"), memory="8MiB")
    else:
        # Without the right to mount, too: the write fails in the midst of a page, with EFBIG instead of ENOSPC.
        proxy = kept(upstream, prefix=["prlimit", f"--fsize={4 * MIB}", *LIMITED], memory="8MiB")
    proxy.start()
    upstream.close_gate(after=2)
    curls = [Curl(proxy.url + orders.path, tmp_path / f"{number}.ndjson") for number in range(3)]
    clients = [curl.begin() for curl in curls]
    for curl, client in zip(curls, clients, strict=True):
        curl.has(1, client)
    upstream.open_gate()
    for curl, client in zip(curls, clients, strict=True):
        outcome = client.outcome()
        assert outcome.how == "whole", outcome
        assert curl.file.read_bytes() == orders.lines
    warnings = [line for line in proxy.child.said().splitlines() if "WARN" in line]
    assert len(warnings) == 1, warnings
    assert proxy.child.running()
    assert requests.get(proxy.url + orders.path, headers=STREAM, timeout=60).content == orders.lines


def test_a_log_without_room_is_no_end_of_a_stream(scripted, kept, tmp_path: Path):
    """Lines that can't be written are lost: those of a failed attempt in the midst, and of the end."""
    upstream = scripted(fault=Fault.ONCE)
    proxy = kept(config=upstream.config())
    child = Child([str(binary()), "serve", "--config", str(proxy.config)], Path("/dev/full"))
    try:
        until(lambda: listens(proxy.port) or not child.running(), "unpage serve to listen")
        assert requests.get(f"{proxy.url}/orders", headers=STREAM, timeout=60).content == WHOLE
        assert child.running()
    finally:
        child.stop()
    assert upstream.calls[FAILING] == 2


def test_a_configured_folder_that_cannot_be_is_a_mistake(upstream, kept, tmp_path: Path):
    """A plain file in place of the folder's parent; a folder that is read-only."""
    (tmp_path / "file").write_text("no folder")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for folder in (tmp_path / "file" / "snapshots", tmp_path / "file", closed / "snapshots"):
        proxy = kept(upstream, prefix=OBEYS_MODES, dir=str(folder))
        child = proxy.spawn()
        assert child.process.wait(timeout=20) == 2, child.said()
        assert str(folder) in child.said()
        assert "panicked" not in child.said()


def test_a_folder_that_becomes_read_only_stops_nothing(upstream, kept, orders, tmp_path: Path):
    """New snapshots are kept in memory then; the log says so."""
    proxy = kept(upstream, prefix=OBEYS_MODES).start()
    first = Curl(proxy.url + orders.path, tmp_path / "first.ndjson")
    assert first.begin().outcome().how == "whole"
    proxy.folder.chmod(0o500)
    try:
        for number in range(2):
            further = Curl(
                proxy.url + orders.path, tmp_path / f"{number}.ndjson", "-H", f"Authorization: Bearer {number}"
            )
            assert further.begin().outcome().how == "whole"
            assert further.file.read_bytes() == orders.lines
        warnings = [line for line in proxy.child.said().splitlines() if "WARN" in line]
        assert len(warnings) == 1, warnings
        # What was kept before is still there.
        with first.file.open("r+b") as file:
            file.truncate(MIB)
        assert first.go_on().outcome().how == "whole"
        assert first.file.read_bytes() == orders.lines
    finally:
        proxy.folder.chmod(0o700)


def test_a_second_process_is_refused(upstream, kept, orders):
    """Two processes in one folder would write over each other: the second one ends, the first continues."""
    first = kept(upstream).start()
    second = kept(upstream, dir=str(first.folder))
    child = second.spawn()
    assert child.process.wait(timeout=20) == 2, child.said()
    assert str(first.folder) in child.said()
    assert "lock" in child.said() or "another" in child.said(), child.said()
    assert requests.get(first.url + orders.path, headers=STREAM, timeout=60).content == orders.lines
    first.kill()
    second.start()


def test_the_lock_ends_with_its_process(upstream, kept):
    proxy = kept(upstream).start()
    proxy.kill()
    proxy.start()


def test_no_other_user_can_read_the_files(upstream, kept, orders, tmp_path: Path):
    """Whatever the umask: the folder is 0700 and files 0600, growing and complete; no credentials stand in them."""
    loose = ["python3", "-c", "import os, sys; os.umask(0); os.execvp(sys.argv[1], sys.argv[1:])"]
    proxy = kept(upstream, prefix=loose).start()
    secret = "hunter2-Zm9vYmFy"
    curl = Curl(proxy.url + orders.path, tmp_path / "orders.ndjson", "-H", f"Authorization: Bearer {secret}")
    client = curl.begin()
    curl.has(1_000_000, client)
    for _ in ("growing", "complete"):
        assert stat.S_IMODE(proxy.folder.stat().st_mode) == 0o700
        files = list(proxy.folder.rglob("*"))
        assert {file.suffix for file in files} >= {".ndjson", ".journal"}
        for file in files:
            assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file
            assert secret.encode() not in file.read_bytes(), file
        assert client.outcome().how == "whole"


def test_a_folder_of_everyones_is_refused(upstream, kept, tmp_path: Path):
    """Whoever may write into the folder could give records to others."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    child = kept(upstream, dir=str(folder)).spawn()
    assert child.process.wait(timeout=20) == 2, child.said()
    assert str(folder) in child.said()


def snapshot_files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.suffix in (".ndjson", ".journal")}


def test_no_orphans_are_left_by_a_kill_during_deletion(scripted, kept):
    """Sixty expire, and the proxy is killed as the first file goes: the next start leaves what its list names."""
    upstream = scripted()
    proxy = kept(config=upstream.config(), keep_for="1s").start()
    for number in range(60):
        headers = {**STREAM, "Authorization": f"Bearer {number}"}
        assert requests.get(f"{proxy.url}/orders", headers=headers, timeout=60).content == WHOLE
    before = snapshot_files(proxy.folder)
    assert before
    until(lambda: len(snapshot_files(proxy.folder)) < len(before), "the first deletion", 60)
    proxy.kill()
    left = snapshot_files(proxy.folder)
    # Remains of a torn deletion, of a torn creation, and of another program.
    lines = "0123456789abcdef" * 2 + ".ndjson"
    (proxy.folder / lines).write_bytes(WHOLE)
    (proxy.folder / ("fedcba9876543210" * 2 + ".journal")).write_bytes(b"0123")
    foreign = proxy.folder / "notes.txt"
    foreign.write_text("not unpage's")
    proxy.configure(keep_for="1h")
    proxy.start()
    named = {one["id"] for one in proxy.snapshots()}
    held = {Path(name).stem for name in snapshot_files(proxy.folder)}
    assert held <= named, "files that belong to nothing"
    assert lines not in snapshot_files(proxy.folder)
    assert foreign.exists()
    whole = {name for name in left if {f"{Path(name).stem}.ndjson", f"{Path(name).stem}.journal"} <= left}
    assert {Path(name).stem for name in whole} <= held, "what wasn't expired for the new configuration is gone"
    proxy.configure(keep_for="1s")
    proxy.kill()
    proxy.start()
    until(lambda: not snapshot_files(proxy.folder), "everything to expire", 60)


def test_a_deleted_snapshot_stays_readable_for_its_reader(upstream, kept, orders, tmp_path: Path):
    """A slow client still has its stream when the files are long gone."""
    proxy = kept(upstream, keep_for="1s", memory="1MiB").start()
    curl = Curl(proxy.url + orders.path, tmp_path / "slow.ndjson", "--limit-rate", "8M")
    client = curl.begin()
    curl.has(1_000_000, client)
    for file in proxy.folder.iterdir():
        if file.suffix in (".ndjson", ".journal"):
            file.unlink()
    outcome = client.outcome()
    assert outcome.how == "whole", outcome
    assert curl.file.read_bytes() == orders.lines


def test_files_that_rotted_are_no_records(upstream, kept, orders, tmp_path: Path):
    """A byte of a finished snapshot is flipped on disk, or its file cut: no stream looks whole, no record is wrong."""
    proxy = kept(upstream).start()
    for harm in ("flipped", "cut"):
        curl = Curl(proxy.url + orders.path, tmp_path / f"{harm}.ndjson", "-H", f"Authorization: Bearer {harm}")
        assert curl.begin().outcome().how == "whole"
        pinned = curl.pinned()
        name = next(one["id"] for one in proxy.snapshots() if one["id"] in pinned)
        proxy.kill()
        lines = proxy.folder / f"{name}.ndjson"
        with lines.open("r+b") as file:
            if harm == "flipped":
                file.seek(20_000_000)
                byte = file.read(1)
                file.seek(20_000_000)
                file.write(bytes([byte[0] ^ 1]))
            else:
                file.truncate(20_000_000)
        proxy.start()
        headers = {"Authorization": f"Bearer {harm}"}
        try:
            answer = requests.get(pinned, headers=headers, timeout=60)
            assert answer.status_code >= 400 or answer.content == orders.lines, harm
        except requests.RequestException:
            pass


def test_the_default_folder_is_the_platforms_cache(upstream, orders, tmp_path: Path):
    """Without a `dir`, snapshots are kept below the cache folder; where that can't be, in memory, with a warning."""
    home = tmp_path / "cache"
    home.mkdir()
    config = tmp_path / "unpage.toml"
    # With port 0 no client could come back, and nothing is kept.
    config.write_text(f'listen = "127.0.0.1:{free_port()}"\n\n{collection(upstream.url)}')
    for number, environment in enumerate(({"XDG_CACHE_HOME": str(home)}, {"XDG_CACHE_HOME": "/dev/null/nowhere"})):
        proxy = Serve(["--config", str(config)], tmp_path / f"default-{number}.log", environment)
        try:
            assert requests.get(proxy.url + orders.path, headers=STREAM, timeout=60).content == orders.lines
            assert bool(list(home.rglob("*.ndjson"))) is (number == 0)
            assert ("WARN" in proxy.child.said()) is (number == 1), proxy.child.said()
        finally:
            proxy.child.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_a_second_start_takes_no_longer_with_much_in_the_folder(upstream, kept, orders):
    """The start lists, and reads no lines: snapshots are read when they are requested."""
    proxy = kept(upstream).start()
    for number in range(5):
        headers = {**STREAM, "Authorization": f"Bearer {number}"}
        assert requests.get(proxy.url + orders.path, headers=headers, timeout=60).content == orders.lines
    proxy.kill()
    proxy.start()
    io = Path(f"/proc/{proxy.pid}/io").read_text()
    read = int(io.split("rchar:")[1].split()[0])
    assert read < 5 * MIB, io
    assert len(proxy.snapshots()) == 5
