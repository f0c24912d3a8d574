"""nginx, as people put it in front of things."""

import re
import shutil
from pathlib import Path

import requests

from .process import INSTALLED, Child, free_port, until


def binary() -> Path:
    """Debian's nginx: installed, or unpacked by tests/all.sh."""
    found = shutil.which("nginx")
    path = Path(found) if found else INSTALLED / "nginx" / "usr" / "sbin" / "nginx"
    if not path.is_file():
        raise FileNotFoundError(f"no nginx, run tests/all.sh: {path}")
    return path


class Nginx:
    """A running nginx that passes everything on to one address, as it comes."""

    def __init__(self, place: Path, upstream: str):
        place.mkdir()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.access = place / "access.log"
        (place / "nginx.conf").write_text(configuration(place, port, upstream))
        command = [str(binary()), "-p", str(place), "-c", str(place / "nginx.conf"), "-e", str(place / "error.log")]
        self.child = Child(command, place / "nginx.log")
        try:
            until(lambda: not self.child.running() or self.answers(), "nginx to listen")
            assert self.child.running(), self.child.said()
        except (TimeoutError, AssertionError):
            self.stop()
            raise

    def answers(self) -> bool:
        try:
            return bool(requests.get(f"{self.url}/nginx-is-there", timeout=5).status_code)
        except requests.RequestException:
            return False

    def answered(self) -> list[int]:
        """The status of each request."""
        return [int(status) for status in re.findall(r"^(\d+) ", self.access.read_text(), re.MULTILINE)]

    def stop(self) -> None:
        self.child.stop()


def configuration(place: Path, port: int, upstream: str) -> str:
    folders = " ".join(
        f"{name}_temp_path {place}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format status "$status $request"; access_log {place}/access.log status; {folders}
  server {{
    listen 127.0.0.1:{port};
    location = /nginx-is-there {{ return 204; }}
    location / {{
      proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""
