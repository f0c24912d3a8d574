"""Stores that are written to while their server is read: SQLite under two servers, and the HTTP APIs of two others."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

import requests

from . import orders
from .upstream import Upstream, Upstreams


class Store(Protocol):
    """Orders by their number. What is written is read by the next request to the server."""

    def insert(self, number: int) -> None: ...
    def delete(self, number: int) -> None: ...
    def numbers(self) -> list[int]:
        """Numbers of all orders, in their order."""


class Sqlite:
    """The database file that Django and FastAPI read."""

    def __init__(self, all: Upstreams, upstream: Upstream):
        self.database = all.database

    def insert(self, number: int) -> None:
        self.execute(orders.INSERT, orders.order(number))

    def delete(self, number: int) -> None:
        self.execute("delete from orders where id = :id", {"id": number})

    def numbers(self) -> list[int]:
        return [row[0] for row in self.execute("select id from orders order by id")]

    def execute(self, statement: str, values: dict | None = None) -> list:
        with closing(sqlite3.connect(self.database)) as db, db:
            return db.execute(statement, values or {}).fetchall()


class JsonServer:
    """json-server, whose own POST puts a record at the end: a position is one in the order of the ids."""

    def __init__(self, all: Upstreams, upstream: Upstream):
        self.url = f"{upstream.url}/orders"
        self.session = requests.Session()

    def insert(self, number: int) -> None:
        self.session.post(self.url, json=orders.safe(orders.order(number)), timeout=30).raise_for_status()

    def delete(self, number: int) -> None:
        self.session.delete(f"{self.url}/{number}", timeout=30).raise_for_status()

    def numbers(self) -> list[int]:
        return sorted(int(order["id"]) for order in self.session.get(self.url, timeout=30).json())


class Kinto:
    """Kinto, whose ids are the orders' names."""

    def __init__(self, all: Upstreams, upstream: Upstream):
        self.url = f"{upstream.url}/v1/buckets/shop/collections/orders/records"
        self.session = requests.Session()
        self.session.auth = ("reader", "secret")

    def insert(self, number: int) -> None:
        order = orders.order(number)
        record = {"data": {**order, "id": order["number"]}}
        self.session.put(f"{self.url}/{order['number']}", json=record, timeout=30).raise_for_status()

    def delete(self, number: int) -> None:
        self.session.delete(f"{self.url}/{orders.order(number)['number']}", timeout=30).raise_for_status()

    def numbers(self) -> list[int]:
        records = self.session.get(f"{self.url}?_limit=1000", timeout=30).json()["data"]
        return sorted(orders.number_of(record["id"]) for record in records)


STORES: dict[str, Callable[[Upstreams, Upstream], Store]] = {
    "drf": Sqlite,
    "fastapi": Sqlite,
    "json-server-0": JsonServer,
    "json-server-1": JsonServer,
    "kinto": Kinto,
}
