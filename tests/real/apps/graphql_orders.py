"""Strawberry's GraphQL server with its own Relay connections over the shared SQLite database."""

import os
import sqlite3
from typing import NewType

import strawberry
from strawberry import relay
from strawberry.asgi import GraphQL
from strawberry.schema.config import StrawberryConfig

#: GraphQL's own Int has 32 bits.
BigInt = NewType("BigInt", int)
BIG_INT = strawberry.scalar(name="BigInt", serialize=int, parse_value=int)

#: The order whose invoice can't be had: GraphQL then answers with data and errors.
WITHOUT_INVOICE = 650


@strawberry.type
class Order(relay.Node):
    id: relay.NodeID[int]
    number: str
    customer: str
    cents: int
    note: str
    serial: BigInt
    weight: float
    placed: str

    @strawberry.field
    def invoice(self) -> str | None:
        if self.id == WITHOUT_INVOICE:
            raise ValueError("the archive of invoices can't be reached")
        return f"inv-{self.id}"


def orders(customer: str | None = None) -> list[Order]:
    database = sqlite3.connect(f"file:{os.environ['ORDERS_SQLITE']}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    try:
        rows = database.execute("select * from orders where ?1 is null or customer = ?1 order by id", [customer])
        return [Order(**row) for row in rows]
    finally:
        database.close()


@strawberry.type
class Query:
    @relay.connection(relay.ListConnection[Order])
    def orders(self, customer: str | None = None) -> list[Order]:
        return orders(customer)

    @strawberry.field
    def orders_without_cursor(
        self, info: strawberry.Info, first: int, after: str | None = None
    ) -> relay.ListConnection[Order]:
        """A connection whose author forgot the cursor of its second page, and says that there is more all the same."""
        page = relay.ListConnection[Order].resolve_connection(orders(), info=info, first=first, after=after)
        if after is not None:
            page.page_info.end_cursor = None
        return page


schema = strawberry.Schema(Query, config=StrawberryConfig(relay_max_results=500, scalar_map={BigInt: BIG_INT}))
app = GraphQL(schema)
