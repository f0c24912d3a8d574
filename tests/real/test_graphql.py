"""GraphQL: errors beside data under status 200, connections that forget their cursor."""

import json

import pytest
import requests
from harness.client import STREAM
from harness.proxy import Fetched, fetch
from harness.upstream import Upstream
from table import JSON

#: The order whose invoice the server can't give, on the seventh page of a hundred.
FAILING = 650


@pytest.fixture
def server(upstreams) -> Upstream:
    return upstreams.get("strawberry")


def query(connection: str, fields: str = "id") -> str:
    """The body of a POST that asks for the orders of a connection, a hundred at a time."""
    selected = f"edges {{ node {{ {fields} }} }} pageInfo {{ hasNextPage endCursor }}"
    text = f"query ($first: Int!, $after: String) {{ {connection} {{ {selected} }} }}"
    return json.dumps({"query": text, "variables": {"first": 100}})


ORDERS = "orders(first: $first, after: $after)"
INVOICES = query(ORDERS, "number invoice")


def configured(name: str = "orders") -> list[str]:
    """The options that say how this connection is walked."""
    at = f"data.{name}.pageInfo"
    more = f'more = {{ path = "{at}.hasNextPage" }}'
    pagination = f'{{ type = "cursor", next = "{at}.endCursor", param = "body:/variables/after", {more} }}'
    return ["--records", f"data.{name}.edges[*].node", "--pagination", pagination]


def numbers(fetched: Fetched) -> list[str]:
    """The orders of the whole lines that were written."""
    whole, _, _ = fetched.stdout.rpartition(b"\n")
    return [json.loads(line)["number"] for line in whole.splitlines()]


@pytest.mark.parametrize("options", [configured(), []], ids=["configured", "auto"])
def test_errors_beside_data_break_the_stream(options: list[str], server):
    """The page has a hundred records and an error: it is partial, without any configuration."""
    fetched = fetch(f"{server.url}/graphql", "--data", INVOICES, *options)
    assert fetched.status == 4, fetched.stderr
    assert "`errors` is" in fetched.stderr and "the archive of invoices can't be reached" in fetched.stderr
    assert "error_path" in fetched.stderr, "it must say how to let it through"
    assert fetched.last_line.startswith("broken:")
    stored = [order["number"] for order in server.stored("orders")]
    written = numbers(fetched)
    assert 600 - 1 <= len(written) < 700
    assert written == stored[: len(written)]


def test_a_client_of_serve_notices_them(server, serve):
    proxy = serve(config=collection(server))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.post(f"{proxy.url}/graphql", data=INVOICES, headers={**JSON, "Accept": STREAM}, timeout=60)


def test_errors_may_be_let_through(server, serve):
    """Errors that leave the records whole, as here, where a field is null."""
    expected = [
        {"number": order["number"], "invoice": None if order["id"] == FAILING else f"inv-{order['id']}"}
        for order in server.stored("orders")
    ]
    options = [*configured(), "--error-path", "false"]
    fetched = fetch(f"{server.url}/graphql", "--data", INVOICES, *options)
    assert fetched.status == 0, fetched.stderr
    assert [json.loads(line) for line in fetched.stdout.splitlines()] == expected
    proxy = serve(config=collection(server, "error_path = false"))
    headers = {**JSON, "Accept": STREAM}
    answer = requests.post(f"{proxy.url}/graphql", data=INVOICES, headers=headers, timeout=60)
    assert [json.loads(line) for line in answer.content.splitlines()] == expected


def test_an_answer_of_nothing_but_errors_is_no_empty_collection(server):
    fetched = fetch(f"{server.url}/graphql", "--data", json.dumps({"query": "query ("}), *configured())
    assert (fetched.status, fetched.stdout) == (3, b"")
    assert "Syntax Error" in fetched.stderr


def test_more_without_a_cursor_is_no_end(server):
    """The second page says that there is more, and its cursor is null."""
    body = query("ordersWithoutCursor(first: $first, after: $after)", "number")
    fetched = fetch(f"{server.url}/graphql", "--data", body, *configured("ordersWithoutCursor"))
    assert fetched.status == 5, fetched.stderr
    assert "says that there is more, but nothing in the page leads on" in fetched.stderr
    assert len(numbers(fetched)) < 200


def test_a_connection_of_nothing_ends_with_a_null_cursor(server):
    body = query('orders(first: $first, after: $after, customer: "nobody")')
    fetched = fetch(f"{server.url}/graphql", "--data", body, *configured())
    assert (fetched.status, fetched.stdout) == (0, b""), fetched.stderr
    assert "0 records" in fetched.last_line


def collection(server: Upstream, more: str = "") -> str:
    """The same in a file."""
    _, records, _, pagination = configured()
    place = ["[[collection]]", 'path = "/graphql"', 'method = "POST"', f'upstream = "{server.url}"']
    return "\n".join([*place, f'records = "{records}"', f"pagination = {pagination}", more, ""])
