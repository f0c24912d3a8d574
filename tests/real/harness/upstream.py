"""The real servers: each started on a free port over the same orders, with what it stored read from its own store."""

import json
import re
import secrets
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import osmem_server
import requests

from . import orders
from .process import INSTALLED, Child, free_port, until

APPS = Path(__file__).resolve().parents[1] / "apps"
BIN = Path(sys.executable).parent


@dataclass
class Upstream:
    """A running server."""

    name: str
    url: str
    child: Child
    #: What is in a store, by its name: read from the database or dumped by the process that holds it.
    stored: Callable[[str], list[dict]]

    @property
    def logs(self) -> bool:
        """True if it has an access log: json-server 1 and osmem have none."""
        return self.name not in ("json-server-1", "osmem")

    def settle_log(self) -> None:
        """Waits until the log has every request that was answered before: it has a later one then."""
        if self.logs:
            mark = f"/mark-{secrets.token_hex(8)}"
            requests.get(self.url + mark, timeout=30)
            until(lambda: mark in self.child.said(), f"{mark} in the log of {self.name}", seconds=10)

    def calls(self, path: str) -> int:
        """Number of requests for this path in its access log."""
        return len(re.findall(rf"(?:GET|POST) {re.escape(path)}[ ?]", self.child.said()))


class Upstreams:
    """All servers over one stock of orders, each started when it is first asked for."""

    def __init__(self, directory: Path, stock: list[dict]):
        self.directory = directory
        self.running: dict[str, Upstream] = {}
        self.stock = stock
        self.database = directory / "orders.db"
        orders.write_sqlite(self.database, stock)
        self.json = directory / "orders.json"
        self.json.write_text(json.dumps(stock))
        # json-server 1 wants a folder of this name where it runs.
        (directory / "public").mkdir()

    def get(self, name: str) -> Upstream:
        if name not in self.running:
            self.running[name] = STARTERS[name](self)
        return self.running[name]

    def stop(self) -> None:
        for upstream in self.running.values():
            upstream.child.stop()

    def start(self, name: str, ready: str, command: Callable[[int], list[str]], stored, **environment: str) -> Upstream:
        """Starts a server and waits until it answers at the path `ready` with anything but a server error."""
        port = free_port()
        child = Child(command(port), self.directory / f"{name}.log", environment, self.directory)
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: not child.running() or answers(url + ready), f"{name} to answer", seconds=60)
            if not child.running():
                raise ChildProcessError(f"{name} ended with status {child.process.returncode}")
        except (TimeoutError, ChildProcessError) as error:
            child.stop()
            raise RuntimeError(f"{error}; it said:\n{child.said()}") from error
        return Upstream(name, url, child, stored)

    def query(self, table: str) -> list[dict]:
        """A table of the shared database. A name with a space is a table and its order: `orders customer`."""
        name, _, order = table.partition(" ")
        columns = "rowid, *" if name == "notes" else "*"
        return orders.rows(self.database, f"select {columns} from {name} order by {order or 'rowid'}")


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code < 500
    except requests.RequestException:
        return False


def datasette(all: Upstreams) -> Upstream:
    return all.start(
        "datasette",
        "/-/versions.json",
        lambda port: [str(BIN / "datasette"), "serve", str(all.database), "-h", "127.0.0.1", "-p", str(port)],
        all.query,
    )


def drf(all: Upstreams) -> Upstream:
    return all.start(
        "drf",
        "/page/",
        lambda port: [
            *(str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket"),
            *("--access-logfile", "-", "--chdir", str(APPS), "drf:application"),
        ],
        all.query,
        ORDERS_SQLITE=str(all.database),
    )


def uvicorn(name: str, app: str, ready: str) -> Callable[[Upstreams], Upstream]:
    def start(all: Upstreams) -> Upstream:
        return all.start(
            name,
            ready,
            lambda port: [
                *(str(BIN / "uvicorn"), "--app-dir", str(APPS), "--host", "127.0.0.1", "--port", str(port)),
                app,
            ],
            all.query,
            ORDERS_SQLITE=str(all.database),
        )

    return start


def json_server(version: int) -> Callable[[Upstreams], Upstream]:
    def start(all: Upstreams) -> Upstream:
        name = f"json-server-{version}"
        database = all.directory / f"{name}.json"
        database.write_text(json.dumps({"orders": [orders.safe(order) for order in all.stock]}))
        package = INSTALLED / "npm" / "node_modules" / name
        manifest = json.loads((package / "package.json").read_text())
        entry = manifest["bin"] if isinstance(manifest["bin"], str) else manifest["bin"]["json-server"]
        return all.start(
            name,
            "/orders?_page=1",
            lambda port: [
                *(shutil.which("node") or "node", str(package / entry), str(database)),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            lambda table: json.loads(database.read_text())[table],
            # Version 1 would read its file again after each write, and by that undo a later one.
            NODE_ENV="production",
        )

    return start


def in_process(name: str, app: str, ready: str) -> Callable[[Upstreams], Upstream]:
    """A server whose store is its own memory: the app fills it, dumps it and serves it."""

    def start(all: Upstreams) -> Upstream:
        dump = all.directory / f"{name}.json"
        return all.start(
            name,
            ready,
            lambda port: [sys.executable, str(APPS / app), str(port), str(all.json), str(dump)],
            lambda _: json.loads(dump.read_text()),
        )

    return start


def in_node(name: str, ready: str) -> Callable[[Upstreams], Upstream]:
    """A server of Node whose store is its own memory, as above."""

    def start(all: Upstreams) -> Upstream:
        dump = all.directory / f"{name}.json"
        # A module is looked for beside the file that imports it.
        app = INSTALLED / "npm" / f"{name}.mjs"
        shutil.copy(APPS / f"{name}.mjs", app)
        return all.start(
            name,
            ready,
            lambda port: [shutil.which("node") or "node", str(app), str(port), str(all.json), str(dump)],
            lambda _: json.loads(dump.read_text()),
        )

    return start


def osmem(all: Upstreams) -> Upstream:
    """OpenSearch as osmem serves it: its binary alone, filled over its own API, and read by id where it was filled."""
    binary = Path(osmem_server.__file__).parent / "bin" / "osmem-server"
    upstream = all.start(
        "osmem",
        "/",
        lambda port: [str(binary), "-addr", f"127.0.0.1:{port}", "-no-ja", "-no-stdin-watch"],
        lambda _: stored_in_osmem(upstream.url, all.stock),
    )
    fields = {"id": "long", "number": "keyword", "serial": "long", "weight": "double", "placed": "date"}
    mappings = {"properties": {name: {"type": kind} for name, kind in fields.items()}}
    requests.put(f"{upstream.url}/orders", json={"mappings": mappings}, timeout=30).raise_for_status()
    # Newest first, so that only a sort gives the orders in their order.
    operations = [line for order in reversed(all.stock) for line in ({"index": {"_id": order["number"]}}, order)]
    lines = "".join(f"{json.dumps(line)}\n" for line in operations)
    ndjson = {"Content-Type": "application/x-ndjson"}
    bulk = f"{upstream.url}/orders/_bulk?refresh=true"
    loaded = requests.post(bulk, data=lines.encode(), headers=ndjson, timeout=60).json()
    assert loaded["errors"] is False, loaded
    return upstream


def stored_in_osmem(url: str, stock: list[dict]) -> list[dict]:
    """Every document, got by its id: no search is asked."""
    ids = [order["number"] for order in stock]
    answer = requests.post(f"{url}/orders/_mget", json={"ids": ids}, timeout=60).json()
    return [document["_source"] for document in answer["docs"]]


STARTERS: dict[str, Callable[[Upstreams], Upstream]] = {
    "datasette": datasette,
    "drf": drf,
    "fastapi": uvicorn("fastapi", "fastapi_pages:app", "/page"),
    "coded": uvicorn("coded", "coded_pages:app", "/zstd/page"),
    "json-server-0": json_server(0),
    "json-server-1": json_server(1),
    "strawberry": uvicorn("strawberry", "graphql_orders:app", "/graphql"),
    "feathers": in_node("feathers", "/orders"),
    "scim": in_node("scim", "/scim/v2/ServiceProviderConfig"),
    "odata": in_node("odata", "/$metadata"),
    "hal": in_node("hal", "/hal/orders"),
    "osmem": osmem,
    "kinto": in_process("kinto", "kinto_records.py", "/v1/"),
    "dynamodb": in_process("dynamodb", "dynamodb.py", "/moto-api/"),
}
