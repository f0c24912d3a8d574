"""Middle boxes that others wrote, as people put them in front of things: each passes everything on to one address."""

import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from .process import INSTALLED, Child, free_port, until


def program(package: str, name: str) -> Path:
    """A server of Debian's: installed, or unpacked by tests/all.sh."""
    places = [shutil.which(name), *(unpacked(package) / "usr" / folder / name for folder in ("sbin", "bin"))]
    for place in places:
        if place and Path(place).is_file():
            return Path(place)
    raise FileNotFoundError(f"no {name}, run tests/all.sh: {places}")


def unpacked(package: str) -> Path:
    return INSTALLED / package


class Box:
    """A running middle box at `url`. `start` writes its configuration and returns its command."""

    def __init__(self, start: Callable[[Path, int, str], list[str]], place: Path, upstream: str):
        place.mkdir(parents=True)
        self.place = place
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {"HOME": str(place), "XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}
        self.child = Child(start(place, port, urlsplit(upstream).netloc), place / "said.log", environment)
        try:
            until(lambda: not self.child.running() or listens(port), f"{start.__name__} to listen")
            assert self.child.running(), self.child.said()
        except (TimeoutError, AssertionError):
            self.stop()
            raise

    def stop(self) -> None:
        self.child.stop()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


class Nginx(Box):
    """nginx that speaks HTTP/1.1 to its upstream and keeps a list of what it answered."""

    def __init__(self, place: Path, upstream: str):
        super().__init__(nginx(), place, upstream)

    def answered(self) -> list[int]:
        """The status of each request."""
        log = (self.place / "access.log").read_text()
        return [int(status) for status in re.findall(r"^(\d+) ", log, re.MULTILINE)]


def nginx(lines: str = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;'):
    """nginx with these lines for what it passes on."""

    def start(place: Path, port: int, upstream: str) -> list[str]:
        folders = " ".join(
            f"{name}_temp_path {place}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (place / "nginx.conf").write_text(f"""\
daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format status "$status $request"; access_log {place}/access.log status; {folders}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{upstream}; {lines} }} }}
}}
""")
        command = [str(program("nginx", "nginx")), "-p", str(place), "-c", str(place / "nginx.conf")]
        return [*command, "-e", str(place / "error.log")]

    return start


def haproxy(further: str = ""):
    """HAProxy with these further lines for its frontend."""

    def start(place: Path, port: int, upstream: str) -> list[str]:
        (place / "haproxy.cfg").write_text(f"""\
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:{port}
  {further}
  default_backend unpage
backend unpage
  server one {upstream}
""")
        return [str(program("haproxy", "haproxy")), "-db", "-f", str(place / "haproxy.cfg")]

    return start


def varnish(place: Path, port: int, upstream: str) -> list[str]:
    """Varnish with the rules that it has without a configuration, and as docs/codings.md has it: else it asks for gzip for all clients."""
    # Its modules and its private library are where it was unpacked.
    home = unpacked("varnish") / "usr"
    modules = [] if shutil.which("varnishd") else ["-p", f"vmod_path={home}/lib/varnish/vmods"]
    command = [str(program("varnish", "varnishd")), "-F", "-j", "none", "-n", str(place / "instance")]
    return [*command, *modules, "-p", "http_gzip_support=off", "-a", f"127.0.0.1:{port}", "-b", upstream, "-s", "malloc,64m"]


def squid(place: Path, port: int, upstream: str) -> list[str]:
    """squid as an accelerator."""
    host, of = upstream.split(":")
    helper = "" if shutil.which("squid") else f"unlinkd_program {unpacked('squid')}/usr/lib/squid/unlinkd"
    (place / "squid.conf").write_text(f"""\
http_port 127.0.0.1:{port} accel defaultsite=127.0.0.1
cache_peer {host} parent {of} 0 no-query no-digest originserver
http_access allow all
cache_log /dev/null
access_log none
pid_filename none
netdb_filename none
pinger_enable off
coredump_dir /
{helper}
shutdown_lifetime 0 seconds
""")
    return [str(program("squid", "squid")), "-N", "-d", "1", "-f", str(place / "squid.conf")]


def caddy(program: Path):
    """This Caddy, which also takes HTTP/2 without TLS."""

    def start(place: Path, port: int, upstream: str) -> list[str]:
        (place / "Caddyfile").write_text(f"""\
{{
  admin off
  auto_https off
  servers {{
    protocols h1 h2c
  }}
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  reverse_proxy {upstream}
}}
""")
        return [str(program), "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile"]

    return start


#: The boxes of the table of endings, by the name that docs/middle-boxes.md gives them, and how each is started.
BOXES: dict[str, Callable[[], Callable[[Path, int, str], list[str]]]] = {
    "nginx, HTTP/1.0": lambda: nginx(""),
    "nginx": nginx,
    "nginx, buffering": lambda: nginx('proxy_http_version 1.1; proxy_set_header Connection "";'),
    "HAProxy": haproxy,
    "Varnish": lambda: varnish,
    "squid": lambda: squid,
    # Debian's, and the one that pip has.
    "Caddy 2.6": lambda: caddy(program("caddy", "caddy")),
    "Caddy 2.11": lambda: caddy(Path(sys.executable).with_name("caddy")),
}
