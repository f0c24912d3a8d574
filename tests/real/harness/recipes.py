"""The files below contrib/ for middle boxes, as a user copies them: only addresses, ports and paths of certificates are replaced."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from .boxes import Box, program
from .certificates import Pair, pair
from .kept import Kept
from .process import REPOSITORY, free_port

CONTRIB = REPOSITORY / "contrib"
#: The name that the files and docs/middle-boxes.md give to the clients' server.
NAME = "api.example.com"


class RecipeBox(Box):
    """A middle box at `url` with the file of contrib/, over TLS."""

    def __init__(self, recipe: Callable, place: Path, proxy: Kept):
        self.pair = pair(place.with_name("pair"), NAME)
        super().__init__(recipe(self.pair, proxy.admin_port), place, proxy.url)
        self.port = urlsplit(self.url).port
        self.url = f"https://{NAME}:{self.port}"

    def curl_options(self) -> list[str]:
        """Options with which curl finds the server by its name and trusts it."""
        return ["--resolve", f"{NAME}:{self.port}:127.0.0.1", "--cacert", str(self.pair.cert)]


def replaced(text: str, values: dict[str, object]) -> str:
    """The text with each of these, which stands in it once, replaced."""
    for old, new in values.items():
        assert text.count(old) == 1, f"{old} stands {text.count(old)} times in the file"
        text = text.replace(old, str(new))
    return text


def nginx(made: Pair, _: int):
    def start(place: Path, port: int, upstream: str) -> list[str]:
        values = {
            "127.0.0.1:8080": upstream,
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            "/etc/nginx/tls/tls.crt": made.cert,
            "/etc/nginx/tls/tls.key": made.key,
        }
        (place / "unpage.conf").write_text(replaced((CONTRIB / "nginx" / "unpage.conf").read_text(), values))
        folders = " ".join(f"{name}_temp_path {place}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        # What Debian's own nginx.conf has around its conf.d, without a user and a log below /var.
        (place / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/error.log; events {{}}\n"
            f"http {{ access_log off; gzip on; {folders} include {place}/unpage.conf; }}\n"
        )
        command = [str(program("nginx", "nginx")), "-p", str(place), "-c", str(place / "nginx.conf")]
        return [*command, "-e", str(place / "error.log")]

    return start


def haproxy(made: Pair, admin: int):
    def start(place: Path, port: int, upstream: str) -> list[str]:
        (place / "unpage.pem").write_text(made.cert.read_text() + made.key.read_text())
        values = {
            "bind :443 ": f"bind 127.0.0.1:{port} ",
            "/etc/haproxy/tls/unpage.pem": place / "unpage.pem",
            "127.0.0.1:8080": upstream,
            "port 9090": f"port {admin}",
        }
        (place / "haproxy.cfg").write_text(replaced((CONTRIB / "haproxy" / "haproxy.cfg").read_text(), values))
        return [str(program("haproxy", "haproxy")), "-db", "-f", str(place / "haproxy.cfg")]

    return start


def caddy(made: Pair, _: int):
    def start(place: Path, port: int, upstream: str) -> list[str]:
        values = {
            f"https://{NAME} {{": f"https://{NAME}:{port} {{",
            "/etc/caddy/tls/tls.crt": made.cert,
            "/etc/caddy/tls/tls.key": made.key,
            "127.0.0.1:8080": upstream,
        }
        # Caddy's own ports: its API, and the one that redirects to HTTPS.
        options = f"{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {free_port()}\n}}\n"
        text = replaced((CONTRIB / "caddy" / "Caddyfile").read_text(), values)
        (place / "Caddyfile").write_text(options + text)
        # The one that pip has: Debian's ends broken answers cleanly.
        newer = Path(sys.executable).with_name("caddy")
        return [str(newer), "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile"]

    return start


RECIPES = {"nginx": nginx, "HAProxy": haproxy, "Caddy": caddy}


class Behind(Kept):
    """unpage as docs/middle-boxes.md configures it behind these boxes, with other addresses, another collection, and an access log."""

    def configure(self, **snapshots: str) -> None:
        text = (REPOSITORY / "docs" / "middle-boxes.md").read_text()
        documented = re.search(r"^```toml\n(.*?)^\[\[collection\]\]", text, re.M | re.S)[1]
        addresses = {"127.0.0.1:8080": f"127.0.0.1:{self.port}", "127.0.0.1:9090": f"127.0.0.1:{self.admin_port}"}
        table = "".join(f'{key} = "{value}"\n' for key, value in {"dir": self.folder, **snapshots}.items())
        self.config.write_text(f"access_log = true\n{replaced(documented, addresses)}\n[snapshots]\n{table}\n{self.collection}")
