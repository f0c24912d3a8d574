"""The image of contrib/container: built by buildah, looked into, and run with nothing but its own files."""

import json
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.certificates import pair
from harness.chroot import AS_ROOT, inside, run
from harness.process import REPOSITORY, Child
from harness.proxy import binary, static_binary
from harness.scripted import WHOLE

USER = "65532:65532"
MOST_MIB = 20
NAMESERVER = "127.9.9.53"
CONTEXT = REPOSITORY / "contrib" / "container"


class Image:
    """A built image: what it says about itself, and its files in a folder."""

    def __init__(self, place: Path):
        context = place / "context"
        context.mkdir()
        run("bash", CONTEXT / "rootfs.sh", static_binary(), context / "rootfs-amd64.tar")
        self.buildah = [*AS_ROOT, "buildah", "--root", place / "store", "--runroot", place / "run", "--storage-driver", "vfs"]
        build = ["bud", "--isolation", "chroot", "--format", "docker", "--platform", "linux/amd64", "--tag", "unpage"]
        run(*self.buildah, *build, "--file", CONTEXT / "Containerfile", context)
        self.told = json.loads(run(*self.buildah, "inspect", "--type", "image", "unpage"))["Docker"]["config"]
        container = run(*self.buildah, "from", "unpage").split()[-1]
        self.root = Path(run(*self.buildah, "mount", container).split()[-1])

    def command(self, *arguments: str) -> list[str]:
        return inside(self.root, *self.told["Entrypoint"], *arguments, user=self.told["User"])

    def put(self, path: str, text: str) -> None:
        """Mounts a file, as far as a container can tell."""
        subprocess.run([*AS_ROOT, "tee", self.root / path], input=text.encode(), stdout=subprocess.DEVNULL, check=True)


@pytest.fixture
def image(tmp_path: Path):
    made = Image(tmp_path)
    yield made
    run(*made.buildah, "rm", "--all")
    run(*AS_ROOT, "rm", "-rf", tmp_path / "store", tmp_path / "run")


def test_both_files_make_the_same_image():
    last = [(REPOSITORY / "Dockerfile").read_text(), (CONTEXT / "Containerfile").read_text()]
    built, packed = (text.split("\nFROM scratch\n")[1].split("\nUSER ")[1] for text in last)
    assert built == packed
    # What the code includes is in the context of the build.
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for folder in ["config", "src", "tests/upstream", "contrib/container"]:
        assert f"COPY {folder} {folder}\n" in last[0] and f"!{folder}" in ignored
    included = re.findall(r'include_str!\((?:concat!\()?"\.\./\.\./(\w+)/', (REPOSITORY / "src/config/presets.rs").read_text())
    assert included == ["config"]


def test_an_image_of_the_release_is_small(tmp_path: Path):
    stripped = tmp_path / "unpage"
    run("strip", "-o", stripped, binary())
    run("bash", CONTEXT / "rootfs.sh", stripped, tmp_path / "rootfs.tar")
    size = (tmp_path / "rootfs.tar").stat().st_size / 2**20
    # Static, it has some of glibc, too: the release workflow holds that binary to the same bound.
    print(f"image: {size:.1f} MiB without the C library")
    assert size < MOST_MIB


def test_the_image_runs(image: Image, scripted: Callable, tmp_path: Path):
    """A demo, a stream over TLS, names by /etc/hosts and by DNS, and the health check, beside nothing but the image's files."""
    told = image.told
    assert (told["User"], told["Entrypoint"], told["Cmd"][0]) == (USER, ["/unpage"], "serve")
    files = set(run(*AS_ROOT, "find", image.root, "-printf", "%P %u %m\n").split("\n"))
    print("\n".join(sorted(files)))
    assert {"unpage root 755", "var/lib/unpage 65532 700", "tmp root 1777", "etc/ssl/certs/ca-certificates.crt root 644"} <= files
    # The image's four, their folders, and the root.
    assert len(files - {""}) == 10

    said = run(*image.command("demo", "--once", "--records", "5000", "--listen", "127.0.0.1:0"))
    assert "streamed 5,000 records" in said

    upstream = scripted()
    made = pair(tmp_path / "pair", authority=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert, made.key)
    secure = scripted()
    secure.server.socket = context.wrap_socket(secure.server.socket, server_side=True)
    image.put("etc/hosts", "127.0.0.1 localhost\n")
    image.put("etc/resolv.conf", f"nameserver {NAMESERVER}\n")
    image.put("ca.pem", made.cert.read_text())

    def fetched(url: str, *options: str, status: int = 0) -> subprocess.CompletedProcess:
        options = ["--records", "data", "--pagination", upstream.PAGINATION, "--set", "retry.attempts=1", *options]
        done = subprocess.run(image.command("fetch", url, *options), capture_output=True, timeout=60)
        assert done.returncode == status, done.stderr.decode()
        return done

    port = secure.server.server_address[1]
    assert fetched(f"https://localhost:{port}/orders", "--cacert", "/ca.pem").stdout == WHOLE
    refused = fetched(f"https://localhost:{port}/orders", status=3).stderr.decode()
    # The image's authorities were read, and none of them has signed the certificate.
    assert "UnknownIssuer" in refused or "unknown issuer" in refused, refused
    names = Child([*AS_ROOT, sys.executable, str(REPOSITORY / "tests/real/apps/dns.py"), NAMESERVER], tmp_path / "dns.log")
    try:
        names.wait_for("listening")
        assert fetched(f"http://api.example.test:{upstream.server.server_address[1]}/orders").stdout == WHOLE
    finally:
        names.stop()

    # Of the image's own command only the ports are others: these may be taken here.
    image.put("etc/unpage.toml", upstream.config())
    arguments = [re.sub(r":(8080|9090)$", ":0", word) for word in told["Cmd"]]
    assert arguments.count("127.0.0.1:0") == 1 and "0.0.0.0:0" in arguments
    server = Child(image.command(*arguments), tmp_path / "serve.log")
    try:
        admin = server.wait_for(r"metrics at (http://\S+)/metrics")[1]
        [kind, *check] = told["Healthcheck"]["Test"]
        assert (kind, check) == ("CMD", ["/unpage", "health", "http://127.0.0.1:9090/readyz"])
        health = [word.replace("http://127.0.0.1:9090", admin) for word in check]
        run(*inside(image.root, *health, user=USER))
    finally:
        server.stop()
    run(*inside(image.root, *health, user=USER), status=1)
