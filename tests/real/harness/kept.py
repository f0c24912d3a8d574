"""`unpage serve` with a folder for its snapshots, on a port that stays its own: it can be killed and started again."""

import json
import os
import re
from pathlib import Path

import requests

from .process import Child, free_port
from .proxy import binary, listening


class Kept:
    """A proxy over one folder, as often as it is started."""

    def __init__(self, place: Path, collection: str, prefix: list[str] | None = None, **snapshots: str):
        self.place = place
        self.prefix = prefix or []
        self.folder = place / "snapshots"
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.config = place / "unpage.toml"
        self.collection = collection
        self.children: list[Child] = []
        self.configure(**snapshots)

    def configure(self, **snapshots: str) -> None:
        """Writes the configuration, for the next start."""
        table = {"dir": str(self.folder), "fresh_for": "0", **snapshots}
        if table.get("disk") == "0":
            del table["dir"]
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        self.config.write_text(
            f'listen = "127.0.0.1:{self.port}"\nadmin = "127.0.0.1:{self.admin_port}"\n\n'
            f"[snapshots]\n{lines}\n{self.collection}"
        )

    def spawn(self) -> Child:
        """Starts it, and waits for nothing."""
        log = self.place / f"serve-{len(self.children)}.log"
        self.children.append(Child([*self.prefix, str(binary()), "serve", "--config", str(self.config)], log))
        return self.children[-1]

    def start(self) -> "Kept":
        listening(self.spawn())
        return self

    def listens(self) -> bool:
        """True from the moment when the newest start accepts connections until it ends."""
        child = self.child
        return child.running() and "listening on http" in child.said()

    @property
    def child(self) -> Child:
        return self.children[-1]

    @property
    def pid(self) -> int:
        return self.child.process.pid

    def kill(self) -> None:
        self.child.kill()

    def said(self) -> str:
        return "".join(f"--- unpage serve, start {at}:\n{child.said()}" for at, child in enumerate(self.children))

    def snapshots(self) -> list[dict]:
        """The operator's list."""
        return requests.get(f"{self.admin}/snapshots", timeout=10).json()

    def peak_kib(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    def stop(self) -> None:
        for child in self.children:
            if child.running():
                child.stop()


def collection(api: str) -> str:
    """The demo's orders behind a cursor, as a configuration says them."""
    return (
        f'[[collection]]\npath = "/cursor/orders"\nupstream = "{api}"\nrecords = "data"\nkey = "id"\n'
        'page_size = { param = "limit", value = 1000, max = 1000 }\n'
        'pagination = { type = "cursor", next = "meta.next_cursor", param = "cursor" }\n'
    )


#: As root, a folder's mode is obeyed only without this capability.
OBEYS_MODES = ["setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
