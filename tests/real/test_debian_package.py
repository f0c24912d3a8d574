"""The Debian package of contrib/debian: built, without a finding of lintian, and used in a Debian that has nothing else."""

import re
from pathlib import Path

import pytest
import requests
from harness.chroot import AS_ROOT, inside, run
from harness.process import INSTALLED, REPOSITORY, Child
from harness.proxy import binary, listening
from harness.scripted import PAGES, WHOLE

#: The user of the service, which systemd would make up.
SERVICE = "61184:61184"
CONFIG = """
[snapshots]
dir = "/var/lib/unpage"

"""
#: For the demo's API, which asks for no secret and is told one all the same.
SERVED = """
admin = "127.0.0.1:9090"

[snapshots]
dir = "/var/lib/unpage"
fresh_for = "10m"

[upstream.demo]
url = "http://127.0.0.1:9000"
credentials = { bearer = { file = "/run/credentials/unpage.service/secret_token" } }

[[collection]]
path = "/orders"
upstream = "demo"
upstream_path = "/cursor/orders"
records = "data"
pagination = { type = "cursor", next = "meta.next_cursor", param = "cursor" }
"""
APPS = REPOSITORY / "tests" / "real" / "apps"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    run("bash", REPOSITORY / "contrib/debian/build.sh", binary(), folder)
    [file] = folder.glob("unpage_*.deb")
    return file


@pytest.fixture
def debian(tmp_path: Path):
    """A Debian with its essential packages, apt and certificates, as a folder."""
    root = tmp_path / "debian"
    root.mkdir()
    run(*AS_ROOT, "tar", "--extract", "--numeric-owner", "--file", INSTALLED / "debian.tar", "--directory", root)
    yield root
    run(*AS_ROOT, "rm", "-rf", "--one-file-system", root)


def test_lintian_has_no_error_and_no_warning(package: Path):
    said = run("lintian", "--fail-on", "error,warning", "--no-cfg", package)
    findings = [line for line in said.splitlines() if re.match(r"[EWO]: ", line)]
    assert not findings, findings
    listed = run("dpkg-deb", "--contents", package)
    print(f"{package.name}: {package.stat().st_size / 2**20:.1f} MiB\n{listed}")
    for file in ["usr/bin/unpage", "etc/unpage/unpage.toml", "lib/systemd/system/unpage.service", "man1/unpage-serve.1.gz"]:
        assert f"{file}\n" in listed


def test_a_life_of_the_package(package: Path, debian: Path, scripted, tmp_path: Path):
    """Installed, started, upgraded while it keeps a snapshot, removed and purged."""

    def listing() -> set[str]:
        kept = run(*AS_ROOT, "find", debian, "-path", f"{debian}/var/lib/dpkg", "-prune", "-o", "-path", f"{debian}/var/log", "-prune", "-o", "-print")
        return set(kept.replace(str(debian), "").split())

    def dpkg(*arguments: str) -> str:
        return run(*inside(debian, "dpkg", *arguments))

    def put(file: Path, path: str) -> None:
        run(*AS_ROOT, "cp", file, debian / path)

    running: list[Child] = []

    def start() -> str:
        serve = ["/usr/bin/unpage", "serve", "--config", "/etc/unpage/unpage.toml", "--listen", "127.0.0.1:0"]
        child = Child(inside(debian, *serve, user=SERVICE), tmp_path / f"serve-{len(running)}.log")
        running.append(child)
        return listening(child)

    before = listing()
    put(package, "tmp/unpage.deb")
    dpkg("--install", "/tmp/unpage.deb")
    assert "unpage 0." in run(*inside(debian, "unpage", "--version"))
    said = run(*inside(debian, "unpage", "demo", "--once", "--records", "5000", "--listen", "127.0.0.1:0", user=SERVICE))
    assert "streamed 5,000 records" in said
    # What is installed has no collection yet, and says so.
    said = run(*inside(debian, "unpage", "check", "/etc/unpage/unpage.toml"), status=2)
    assert "write at least one [[collection]]" in said

    upstream = scripted()
    (tmp_path / "unpage.toml").write_text(CONFIG + upstream.config())
    put(tmp_path / "unpage.toml", "etc/unpage/unpage.toml")
    run(*AS_ROOT, "install", "-d", "-m", "700", "-o", "61184", "-g", "61184", debian / "var/lib/unpage")
    try:
        answer = requests.get(f"{start()}/orders?_format=ndjson", timeout=60)
        assert answer.content == WHOLE
        running[-1].stop()

        # The next version, of which only the number is new.
        tree = tmp_path / "next"
        run("dpkg-deb", "--raw-extract", package, tree)
        control = tree / "DEBIAN" / "control"
        control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 99.0-1", control.read_text()))
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, tmp_path / "next.deb")
        put(tmp_path / "next.deb", "tmp/unpage.deb")
        dpkg("--install", "/tmp/unpage.deb")
        assert "99.0-1" in dpkg("--status", "unpage")

        resumed = requests.get(f"{start()}{answer.headers['Content-Location']}", headers={"Range": "bytes=100-"}, timeout=60)
        assert (resumed.status_code, resumed.content) == (206, WHOLE[100:])
        assert sum(upstream.calls.values()) == PAGES
        running[-1].stop()
    finally:
        for child in running:
            child.stop()
            print(child.said())

    dpkg("--remove", "unpage")
    left = listing() - before
    assert "/usr/bin/unpage" not in left and {"/etc/unpage/unpage.toml", "/var/lib/unpage"} <= left
    dpkg("--purge", "unpage")
    assert listing() - before == {"/tmp/unpage.deb"}
    assert before - listing() == set()


def test_a_life_of_the_service(package: Path, debian: Path, tmp_path: Path):
    """Under a systemd of its own: started with a secret, reloaded, upgraded while it runs, removed and purged."""
    (tmp_path / "unpage.toml").write_text(SERVED)
    unit = "[Service]\nType=oneshot\nStandardOutput=file:/root/said\nExecStart=/bin/bash /root/service.sh\nExecStopPost=/bin/systemctl exit\n"
    (tmp_path / "life.service").write_text(f"{unit}[Install]\nWantedBy=multi-user.target\n")
    for file in [APPS / "service.sh", tmp_path / "unpage.toml"]:
        run(*AS_ROOT, "cp", file, debian / "root")
    run(*AS_ROOT, "cp", package, debian / "root/unpage.deb")
    run(*AS_ROOT, "cp", tmp_path / "life.service", debian / "etc/systemd/system")
    run(*inside(debian, "systemctl", "enable", "life.service"))
    namespaces = ["--fork", "--pid", "--mount", "--cgroup", "--ipc", "--uts", "--net", "--kill-child"]
    run(*AS_ROOT, "unshare", *namespaces, "sh", APPS / "boot.sh", debian)
    said = run(*AS_ROOT, "cat", debian / "root/said")
    print(said)
    for line in [
        "install: 0",
        "before: inactive",
        "enable: 0",
        "health: 0",
        "records: 5000",
        "CapEff:0000000000000000",
        "NoNewPrivs:1",
        "Seccomp:2",
        "reload: 0",
        "reload of a mistake: 1",
        "after it: active",
        "upgrade: 0",
        "after the upgrade: active",
        "the upgrade restarts the service",
        "the upgrade keeps the socket",
        "records from the snapshot: 5000",
        "remove: 0",
        "after the removal: inactive,inactive",
        "the removal keeps: ./secrets/token,./unpage.toml",
        "purge: 0",
        "the purge keeps nothing",
    ]:
        assert f"{line}\n" in said, line
    assert "/etc/unpage/unpage.toml reloaded" in said and "1 found, 0 of them unfinished" in said
