"""Arrow streams and Parquet files: pyarrow, polars and DuckDB read what the records were, and notice a stream that broke."""

import io
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import duckdb
import polars
import pyarrow.parquet
import pytest
import requests
from harness.scripted import Server, send_json

PAGES = 30
RECORDS_A_PAGE = 400
ODD = [
    {"id": 9223372036854775807, "name": 'a "quoted", text\r\n\t\\', "at": {"x": 1.5, "deep": {"er": True}}, "tags": [1, "x", None]},
    {"id": -1, "name": "", "at": {"x": -2, "deep": None}, "big": 18446744073709551616, "with.dot": "d", "with": {"dot": "e"}},
    {"name": None, "ü\U0001f600": "\U0001f600 \x00", "at": {"x": 9007199254740992}, "tags": "text", "empty": {}},
]


def record(number: int) -> dict:
    return {"id": number, "name": f"customer {number}", "total": number + 0.5, "open": number % 3 == 0, "created": "2026-01-02T04:04:05.25+01:00", "tags": [number]}


def answer(request) -> None:
    """`/cut/N` has no page behind N, `/odd` few records, `/late` a member and `/flip` a type that come late."""
    url = urlsplit(request.path)
    number = int(parse_qs(url.query).get("cursor", ["1"])[0])
    kind, _, last = url.path.strip("/").partition("/")
    is_there = kind != "cut" or number <= int(last)
    records = [record(number * RECORDS_A_PAGE + index) for index in range(RECORDS_A_PAGE)]
    if kind == "odd":
        records, number = ODD, PAGES
    elif number == PAGES and kind == "late":
        records[-1]["late"] = {"x": [1]}
    elif number == PAGES and kind == "flip":
        records[-1]["id"] = "text"
    page = {"data": records, "next_cursor": str(number + 1) if number < PAGES else None}
    body = json.dumps(page, separators=(",", ":")).encode() if is_there else b"{}"
    send_json(request, body, 200 if is_there else 500)


@pytest.fixture(scope="module")
def upstream():
    server = Server(answer)
    yield server
    server.stop()


@pytest.fixture
def address(upstream, kept):
    paths = ["/odd", "/late", "/flip", *(f"/cut/{last}" for last in range(1, PAGES + 1))]
    return kept(config=upstream.collections(*paths, further="retry = { attempts = 1 }\n")).start().url


def with_pyarrow(body: bytes) -> list[dict]:
    return pyarrow.ipc.open_stream(io.BytesIO(body)).read_all().to_pylist()


def with_polars(body: bytes) -> list[dict]:
    return polars.read_ipc_stream(io.BytesIO(body)).to_dicts()


def with_duckdb(body: bytes) -> list[dict]:
    stream = pyarrow.ipc.open_stream(io.BytesIO(body))
    return duckdb.sql("select * from stream").to_arrow_table().to_pylist()


READERS: dict[str, Callable[[bytes], list[dict]]] = {"pyarrow": with_pyarrow, "polars": with_polars, "duckdb": with_duckdb}


def sent(url: str, media_type: str = "application/vnd.apache.arrow.stream") -> tuple[bytes, bool]:
    """The bytes of a body that came, and whether it ended cleanly."""
    pieces = []
    with requests.get(url, stream=True, headers={"Accept-Encoding": "identity"}, timeout=60) as response:
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == media_type
        try:
            pieces.extend(response.iter_content(None))
        except requests.exceptions.RequestException:
            return b"".join(pieces), False
    return b"".join(pieces), True


def parquet_with_duckdb(body: bytes) -> list[dict]:
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".parquet") as file:
        file.write(body)
        file.flush()
        return duckdb.sql(f"select * from read_parquet('{file.name}')").to_arrow_table().to_pylist()


PARQUET_READERS: dict[str, Callable[[bytes], list[dict]]] = {
    "pyarrow": lambda body: pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist(),
    "polars": lambda body: polars.read_parquet(io.BytesIO(body)).to_dicts(),
    "duckdb": parquet_with_duckdb,
}


def is_refused(read: Callable[[bytes], list[dict]], body: bytes) -> bool:
    try:
        read(body)
    # The panics of polars are no `Exception`.
    except BaseException as error:  # noqa: BLE001
        assert not isinstance(error, KeyboardInterrupt)
        return True
    return False


def flat(value: dict, path: str = "") -> dict:
    """The leaves of a record, as its columns have them."""
    leaves = {}
    for name, member in value.items():
        if isinstance(member, dict) and member:
            leaves |= flat(member, f"{path}{name}.")
        else:
            leaves[f"{path}{name}"] = json.dumps(member, separators=(",", ":")) if isinstance(member, dict | list) else member
    return leaves


def without_nulls(record: dict) -> dict:
    return {name: value for name, value in record.items() if value is not None}


@pytest.mark.parametrize("reader", READERS)
def test_records_are_read_as_they_were(reader, address):
    body, is_clean = sent(f"{address}/cut/{PAGES}?_format=arrow")
    assert is_clean
    numbers = range(RECORDS_A_PAGE, (PAGES + 1) * RECORDS_A_PAGE)
    assert READERS[reader](body) == [record(number) | {"tags": f"[{number}]", "_more": None} for number in numbers]


@pytest.mark.parametrize("reader", READERS)
def test_odd_records_are_read_as_they_were(reader, address):
    body, is_clean = sent(f"{address}/odd?_format=arrow")
    assert is_clean
    expected = [flat(record) for record in ODD]
    expected[1]["big"] = "18446744073709551616"
    # Of two members with the same path, the second is named by its pointer.
    expected[1]["/with/dot"] = "e"
    expected[1]["with.dot"] = "d"
    assert [without_nulls(record) for record in READERS[reader](body)] == [without_nulls(record) for record in expected]


@pytest.mark.parametrize("reader", READERS)
def test_a_member_that_comes_late_is_in_the_last_column(reader, address):
    body, is_clean = sent(f"{address}/late?_format=arrow")
    assert is_clean
    *others, last = READERS[reader](body)
    assert json.loads(last["_more"]) == {"late.x": [1]}
    assert len(others) == PAGES * RECORDS_A_PAGE - 1 and all(record["_more"] is None for record in others)


@pytest.mark.parametrize("reader", READERS)
def test_a_column_has_the_type_that_is_named(reader, address):
    """The text in the last record breaks a stream whose types are inferred."""
    body, is_clean = sent(f"{address}/flip?_format=arrow&_columns=id:utf8,total:float64,created:timestamp")
    assert is_clean
    numbers = range(RECORDS_A_PAGE, (PAGES + 1) * RECORDS_A_PAGE)
    created = datetime(2026, 1, 2, 3, 4, 5, 250_000, UTC)
    expected = [{"id": str(number), "total": number + 0.5, "created": created} for number in numbers]
    expected[-1]["id"] = "text"
    assert READERS[reader](body) == expected


@pytest.mark.parametrize("reader", READERS)
def test_a_stream_that_broke_is_refused(reader, address):
    """After each page, and at a value that its column can't have."""
    for path in ["flip", *(f"cut/{last}" for last in range(1, PAGES))]:
        body, is_clean = sent(f"{address}/{path}?_format=arrow")
        assert not is_clean
        assert is_refused(READERS[reader], body), f"{path}: {len(body)} bytes"
    assert len(body) > 256 * 1024


def test_a_file_that_was_cut_between_two_messages_is_not_noticed(address):
    """The limit of the format, of which docs/columnar.md tells: for pyarrow where a message starts, for polars also in padding around it."""
    body, _ = sent(f"{address}/cut/{PAGES}?_format=arrow")
    starts = []
    stream = io.BytesIO(body)
    for _ in pyarrow.ipc.MessageReader.open_stream(stream):
        starts.append(stream.tell())
    assert len(starts) > 3
    for start in starts:
        cuts = range(start - 128, min(start + 64, len(body)))
        accepted = {reader: [cut for cut in cuts if not is_refused(READERS[reader], body[:cut])] for reader in ("pyarrow", "polars")}
        assert accepted["pyarrow"] == [start]
        assert start - 64 < accepted["polars"][0] <= start and accepted["polars"][-1] == start + 3


def parquet(url: str) -> bytes:
    body, is_clean = sent(url, "application/vnd.apache.parquet")
    assert is_clean
    return body


@pytest.mark.parametrize("reader", PARQUET_READERS)
def test_parquet_has_the_records_as_they_were(reader, address):
    read = PARQUET_READERS[reader]
    numbers = range(RECORDS_A_PAGE, (PAGES + 1) * RECORDS_A_PAGE)
    expected = [record(number) | {"tags": f"[{number}]", "_more": None} for number in numbers]
    assert read(parquet(f"{address}/cut/{PAGES}?_format=parquet")) == expected
    # The last record has a text where the others have integers.
    found = read(parquet(f"{address}/flip?_format=parquet"))
    assert [row["id"] for row in found] == [*(str(number) for number in numbers[:-1]), "text"]
    assert [row | {"id": 0} for row in found] == [row | {"id": 0} for row in expected]
    *_, last = read(parquet(f"{address}/late?_format=parquet"))
    assert json.loads(last["_more"]) == {"late.x": [1]}
    odd = [flat(record) for record in ODD]
    odd[1] |= {"big": "18446744073709551616", "/with/dot": "e", "with.dot": "d"}
    assert [without_nulls(record) for record in read(parquet(f"{address}/odd?_format=parquet"))] == [without_nulls(record) for record in odd]


@pytest.mark.parametrize("reader", PARQUET_READERS)
def test_parquet_has_the_types_that_are_named(reader, address):
    found = PARQUET_READERS[reader](parquet(f"{address}/flip?_format=parquet&_columns=id:utf8,total:float64,created:timestamp"))
    assert found[0] == {"id": str(RECORDS_A_PAGE), "total": RECORDS_A_PAGE + 0.5, "created": datetime(2026, 1, 2, 3, 4, 5, 250_000, UTC)}
    refused = requests.get(f"{address}/flip?_format=parquet&_columns=id:int64", timeout=60)
    assert refused.status_code == 406 and "is no int64" in refused.json()["detail"], refused.text


def test_a_collection_that_broke_has_no_parquet(address):
    answer = requests.get(f"{address}/cut/3?_format=parquet", timeout=60)
    assert answer.status_code == 500 and "broke after 1200 records" in answer.json()["detail"], answer.text
