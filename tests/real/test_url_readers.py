"""Readers that open a URL themselves read unpage's: DuckDB, polars, ClickHouse and pyarrow, twice in a row."""

import random
import shutil
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import chdb
import duckdb
import pandas
import polars
import pyarrow.ipc
import pyarrow.json
import pytest
from harness.process import until
from harness.scripted import RECORDS, Fault, Server, page, send_json

PLAIN = "_format=ndjson"
SESSION = "_snapshot=~{name}"
WAITING = "_snapshot=~{name}&_wait=complete"

PARQUET = "_snapshot=~{name}&_format=parquet"


def with_duckdb(url: str) -> list:
    """DuckDB's own HTTP client, which is an extension."""
    extensions = Path(find_spec("duckdb_extension_httpfs").origin).parent / "extensions" / f"v{duckdb.__version__}"
    table = f"read_parquet('{url}')" if "parquet" in url else f"read_json('{url}', format = 'newline_delimited')"
    with duckdb.connect() as database:
        database.execute(f"load '{extensions / 'httpfs.duckdb_extension'}'")
        return [row[0] for row in database.execute(f"select id from {table}").fetchall()]


def with_polars(url: str) -> list:
    return polars.scan_ndjson(url).select("id").collect()["id"].to_list()


def with_polars_csv(url: str) -> list:
    return polars.scan_csv(url).select("id").collect()["id"].to_list()


def with_polars_parquet(url: str) -> list:
    return polars.scan_parquet(url).select("id").collect()["id"].to_list()


def with_pandas_parquet(url: str) -> list:
    return pandas.read_parquet(url, columns=["id"])["id"].tolist()


def with_clickhouse(url: str) -> list:
    text = chdb.query(f"select id from url('{url}', 'JSONEachRow')", "TabSeparated").bytes().decode()
    return [int(line) if line.isdigit() else line for line in text.splitlines()]


def with_clickhouse_parquet(url: str) -> list:
    # By default it repeats what failed for half a minute.
    text = chdb.query(f"select id from url('{url}', 'Parquet') settings http_max_tries = 1", "TabSeparated").bytes().decode()
    return [int(line) if line.isdigit() else line for line in text.splitlines()]


def with_pyarrow_arrow(url: str) -> list:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return pyarrow.ipc.open_stream(answer).read_all()["id"].to_pylist()


def with_pyarrow(url: str) -> list:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return pyarrow.json.read_json(answer)["id"].to_pylist()


#: Each reader, and the queries of the URLs that it reads.
READERS = {
    "duckdb": (with_duckdb, [PLAIN, SESSION, WAITING]),
    # It wants a length of each answer, which a stream has not before its end.
    "polars": (with_polars, [WAITING]),
    "clickhouse": (with_clickhouse, [PLAIN, SESSION, WAITING]),
    "pyarrow": (with_pyarrow, [PLAIN, SESSION, WAITING]),
    "duckdb-parquet": (with_duckdb, [PARQUET]),
    "polars-csv": (with_polars_csv, [f"{WAITING}&_format=csv"]),
    "polars-parquet": (with_polars_parquet, [PARQUET]),
    "clickhouse-parquet": (with_clickhouse_parquet, [PARQUET]),
    "pyarrow-arrow": (with_pyarrow_arrow, ["_format=arrow"]),
    "pandas-parquet": (with_pandas_parquet, ["_format=parquet", PARQUET]),
}
CASES = [(name, query) for name, (_, queries) in READERS.items() for query in queries]


def url_of(address: str, query: str) -> str:
    return f"{address}?{query.format(name=f's{random.randrange(10**9)}')}"


@pytest.fixture
def upstream(forwarders, small_orders):
    return forwarders(small_orders)


@pytest.fixture
def ids(small_orders) -> list:
    return [line.split(b'"')[3].decode() for line in small_orders.lines.splitlines()]


@pytest.fixture
def proxy(upstream, kept):
    return kept(upstream, fresh_for="5m").start()


@pytest.fixture
def one_page(kept):
    """A collection of one page, and the number of times that it was requested."""
    asked = []

    def answer(request):
        asked.append(request.path)
        body = page(1, pages=1)
        send_json(request, body)

    server = Server(answer)
    yield kept(config=server.collections("/one"), fresh_for="5m").start().url + "/one", asked
    server.stop()


@pytest.mark.parametrize(("reader", "query"), CASES)
def test_a_complete_snapshot_is_read_twice(reader, query, proxy, upstream, small_orders, ids):
    read, _ = READERS[reader]
    address = proxy.url + small_orders.path
    with urllib.request.urlopen(f"{address}?{PLAIN}", timeout=60) as answer:
        assert answer.read() == small_orders.lines
    url = url_of(address, query)
    for _ in range(2):
        assert read(url) == ids
    assert upstream.count() == small_orders.pages


@pytest.mark.parametrize(("reader", "query"), CASES)
def test_a_growing_snapshot_is_read_twice(reader, query, proxy, upstream, small_orders, ids):
    """The upstream stops in the midst until the reader waits."""
    read, _ = READERS[reader]
    url = url_of(proxy.url + small_orders.path, query)
    upstream.close_gate(after=4)
    with ThreadPoolExecutor() as threads:
        reading = threads.submit(read, url)
        until(lambda: upstream.count() > 4 or reading.done(), "the page that is held back")
        upstream.open_gate()
        assert reading.result() == ids
    assert read(url) == ids
    assert upstream.count() == small_orders.pages


@pytest.mark.parametrize(("reader", "query"), CASES)
def test_a_collection_of_one_page_is_read_twice(reader, query, one_page):
    read, _ = READERS[reader]
    address, asked = one_page
    url = url_of(address, query)
    for _ in range(2):
        assert read(url) == list(range(1, RECORDS + 1))
    assert len(asked) == 1


@pytest.mark.parametrize(("reader", "query"), CASES)
def test_a_broken_stream_is_an_error(reader, query, scripted, kept):
    """The seventh of twenty pages is cut each time: no reader returns records."""
    read, _ = READERS[reader]
    upstream = scripted(fault=Fault.CUT)
    proxy = kept(config=upstream.config(), fresh_for="5m").start()
    with pytest.raises(Exception) as broken:  # noqa: PT011
        read(url_of(proxy.url + "/orders", query))
    print(type(broken.value).__name__, str(broken.value)[:300])
    assert upstream.calls[7] > 0
