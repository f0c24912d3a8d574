"""Records that formats tend to lose: what readers of each format give back is what the upstream sent."""

import csv
import io
import json
import struct
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
import pyogrio
import pytest
import requests
from harness.scripted import Server, send_json

RECORDS = 10_100
FLIP = 10_000
PAGE = 1_000
#: Records with what other programs' numbers and texts can't hold.
HALF = 6
BEYOND_FLOATS = {3: '"big":9223372036854775808', 4: '"big":-1e400', 5: '"big":0.10', HALF: r'"half":"a\ud800b"'}


def record(number: int) -> str:
    """The text of a record."""
    # The first 256 KiB, which decide the columns, end long before the flip.
    members = [f'"id":{number}', f'"pad":"{number:020}"', f'"flip":{number}' if number < FLIP else f'"flip":"n{number}"']
    match number:
        case 7:
            members += [f'"wide{column}":{column}' for column in range(600)]
        case 1:
            members += ['"deep":' + '{"d":' * 60 + '[1,{"x":"]}"}]' + "}" * 60, '"empty":{}', '"none":null', '"text":""']
        case 2:
            members += [r'"second":true', r'"a.b":1', r'"a":{"b":2}', r'"q\"uo,te\n":"x,\"y\"\r\nz"', r'"":{"":"nameless"}', r'"ü":"№ \t"']
        case _ if number in BEYOND_FLOATS:
            members.append(BEYOND_FLOATS[number])
        case 10_000:
            members.append('"late":{"x":"at ten thousand"}')
        case _ if number == RECORDS - 1:
            members.append('"last":[1,2]')
    return "{" + ",".join(members) + "}"


def point(number: int) -> dict | None:
    return {"type": "Point", "coordinates": [number / 64, -number / 128]} if number % 3 else None


TEXTS = [record(number) for number in range(RECORDS)]
#: The same records as properties of Features, of which every third one is nowhere.
FEATURES = [
    f'{{"type":"Feature","id":{number},"geometry":{json.dumps(geometry) if (geometry := point(number)) else "null"},"properties":{text}}}'
    for number, text in enumerate(TEXTS)
]
#: Records of each JSON format.
JSON = {"json": TEXTS, "ndjson": TEXTS, "json-seq": TEXTS, "geojson": FEATURES, "geojson-seq": FEATURES}


def parsed(text: str | bytes):
    """JSON whose numbers keep their spelling."""
    return json.loads(text, parse_int=Number, parse_float=Number)


class Number(str):
    """The spelling of a number."""


def leaves(value, *path: str) -> list[tuple[str, str]]:
    """Each value that is no object with members, by its path, as the text of a cell; empty ones are left out."""
    match value:
        case dict() if value:
            return [leaf for name, inner in value.items() for leaf in leaves(inner, *path, name)]
        case None | "":
            return []
        case str():
            # Half of a surrogate pair stays escaped.
            return [(".".join(path), value.replace("\ud800", "\\ud800"))]
        case True | False:
            return [(".".join(path), str(value).lower())]
    # The numbers of the arrays above.
    text = json.dumps(value, separators=(",", ":")).replace('"1"', "1").replace('"2"', "2")
    return [(".".join(path), text)]


def cells(header: list[str], row: list[str]) -> Counter:
    """The same of a row. The name of a second column of one path is its pointer."""
    found = []
    for name, cell in zip(header, row, strict=True):
        if name == "_more" and cell:
            # Its members are paths already, and their numbers keep their spelling.
            found += [leaf for path, value in parsed(cell).items() for leaf in leaves(value, path)]
        elif cell:
            found.append((name.replace("/", ".").removeprefix(".") if name.startswith("/") else name, cell))
    return Counter(found)


@pytest.fixture(scope="module")
def upstream():
    def answer(request) -> None:
        address = urlsplit(request.path)
        records = {"/odd": TEXTS, "/features": FEATURES}[address.path]
        first = int(parse_qs(address.query).get("cursor", ["0"])[0])
        following = f'"{first + PAGE}"' if first + PAGE < RECORDS else "null"
        body = f'{{"data":[{",".join(records[first : first + PAGE])}],"next_cursor":{following}}}'.encode()
        send_json(request, body)

    server = Server(answer)
    yield server
    server.stop()


@pytest.fixture
def url(upstream, kept):
    return kept(config=upstream.collections("/odd", "/features"), fresh_for="5m").start().url


def body_of(url: str, form: str) -> bytes:
    path = "/features" if form.startswith("geojson") else "/odd"
    response = requests.get(f"{url}{path}?_format={form}", timeout=60)
    response.raise_for_status()
    return response.content


def without(records: set[int], form: str, body: bytes) -> bytes:
    """The body without records that a reader refuses."""
    for number in records:
        text = JSON[form][number].encode()
        # Each is one in the middle, behind its separator or in front of its comma.
        text = b"\x1e" + text + b"\n" if form.endswith("-seq") else text + (b"\n" if form == "ndjson" else b",")
        assert body.count(text) == 1
        body = body.replace(text, b"")
    return body


def test_json_formats_have_every_byte(url):
    expected = [parsed(text) for text in TEXTS]
    assert body_of(url, "ndjson").decode().splitlines() == TEXTS
    assert parsed(body_of(url, "json")) == expected
    assert body_of(url, "json-seq").decode() == "".join(f"\x1e{text}\n" for text in TEXTS)
    assert parsed(body_of(url, "geojson")) == {"type": "FeatureCollection", "features": [parsed(text) for text in FEATURES]}
    assert body_of(url, "geojson-seq").decode() == "".join(f"\x1e{text}\n" for text in FEATURES)


def printed(*command: str) -> list:
    said = subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
    return [json.loads(line.removeprefix(b"\x1e")) for line in said.splitlines()]


def differing(form: str, found: list, left_out: set[int] = frozenset()) -> set[int]:
    """Numbers of the records that were read as others."""
    numbers = [number for number in range(RECORDS) if number not in left_out]
    return {number for number, one in zip(numbers, found, strict=True) if one != json.loads(JSON[form][number])}


#: Node's reading of the records of a text.
NODE = {
    "json": "JSON.parse(text)",
    "ndjson": "text.trimEnd().split('\\n').map(line => JSON.parse(line))",
    "json-seq": "text.split('\\x1e').slice(1).map(one => JSON.parse(one))",
    "geojson": "JSON.parse(text).features",
    "geojson-seq": "text.split('\\x1e').slice(1).map(one => JSON.parse(one))",
}


@pytest.mark.parametrize("form", NODE)
def test_node_reads_the_same_but_for_numbers_that_it_lacks(form, url, tmp_path: Path):
    file = tmp_path / "body"
    file.write_bytes(body_of(url, form))
    script = f"const text = require('fs').readFileSync(process.argv[1]).toString(); for (const one of {NODE[form]}) console.log(JSON.stringify(one));"
    assert differing(form, printed("node", "-e", script, str(file))) <= BEYOND_FLOATS.keys()


#: jq's reading of the records of a file.
JQ = {"json": [".[]"], "ndjson": ["."], "json-seq": ["--seq", "."], "geojson": [".features[]"], "geojson-seq": ["--seq", "."]}


@pytest.mark.parametrize("form", JQ)
def test_jq_reads_the_same_but_for_what_it_refuses(form, url, tmp_path: Path):
    """jq 1.6 reports half of a surrogate pair as an error, and newer ones replace it."""
    file = tmp_path / "body"
    file.write_bytes(without({HALF}, form, body_of(url, form)))
    assert differing(form, printed("jq", "-c", *JQ[form], str(file)), {HALF}) <= BEYOND_FLOATS.keys()


def with_gdal(driver: str, file: Path) -> dict[int, dict]:
    """Features as pyogrio reads them for geopandas, by the number of the record."""
    return {int(row["id"]): row for row in pyogrio.read_arrow(f"{driver}:{file}")[1].to_pylist()}


def as_gdal_reads(number: int, row: dict) -> bool:
    """True if the row is the Feature: objects as JSON, and what is in a column of several types as texts."""
    shape, coordinates = row.pop("wkb_geometry"), (point(number) or {}).get("coordinates")
    if shape != (struct.pack("<BIdd", 1, 1, *coordinates) if coordinates else None):
        return False
    expected = {name: value for name, value in json.loads(TEXTS[number]).items() if value is not None}
    found = {name: value for name, value in row.items() if value is not None}
    return found.keys() == expected.keys() and all(
        json.loads(found[name]) == value if isinstance(value, dict) else found[name] in (value, str(value)) for name, value in expected.items()
    )


#: Records that GDAL refuses: integers beyond 64 bits and numbers beyond floats; in a sequence objects in more than thirty others.
REFUSED_BY_GDAL = {"geojson": {3, 4}, "geojson-seq": {1}}


@pytest.mark.parametrize(("form", "driver"), [("geojson", "GeoJSON"), ("geojson-seq", "GeoJSONSeq")])
def test_gdal_reads_the_same_but_for_what_it_refuses(form, driver, url, tmp_path: Path):
    """A FeatureCollection with one of them is an error. In a sequence each is skipped without one (docs/cut-streams.md)."""
    file = tmp_path / f"body.{form}"
    body = body_of(url, form)
    if form == "geojson":
        file.write_bytes(body)
        with pytest.raises(pyogrio.errors.DataSourceError):
            with_gdal(driver, file)
        body = without(REFUSED_BY_GDAL[form], form, body)
    file.write_bytes(body)
    found = with_gdal(driver, file)
    assert found.keys() == set(range(RECORDS)) - REFUSED_BY_GDAL[form]
    assert {number for number, row in found.items() if not as_gdal_reads(number, row)} <= BEYOND_FLOATS.keys()


@pytest.fixture
def table(url):
    """A table, its header and its rows as Python reads them, all of which are the records."""
    body = body_of(url, "csv")
    header, *rows = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
    assert len(rows) == RECORDS
    assert (header[0], header[-1], len(header)) == ("id", "_more", 513)
    for text, row in zip(TEXTS, rows, strict=True):
        assert cells(header, row) == Counter(leaves(parsed(text))), text
    assert rows[FLIP][header.index("_more")] == '{"late.x":"at ten thousand"}'
    return body, header, rows


def test_other_tables_have_the_same_cells(table, url):
    _, header, rows = table
    for form, delimiter in [("csv-excel", ","), ("tsv", "\t")]:
        text = body_of(url, form).decode("utf-8-sig")
        assert list(csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)) == [header, *rows]


#: Readers of Parquet: a file's records, by the names of the columns.
PARQUET = {
    "pyarrow": lambda file: pyarrow.parquet.read_table(file).to_pylist(),
    "polars": lambda file: polars.read_parquet(file).to_dicts(),
    "DuckDB": lambda file: duckdb.sql(f"select * from read_parquet('{file}')").to_arrow_table().to_pylist(),
}


def assert_same_leaves(found: list[dict]) -> None:
    """Typed values have the leaves of the records, as texts. Python reads and prints an integer of 64 bits as it is spelled."""
    assert len(found) == RECORDS
    for text, row in zip(TEXTS, found, strict=True):
        named = {name: "" if value is None else str(value).lower() if isinstance(value, bool) else str(value) for name, value in row.items()}
        assert cells(list(named), list(named.values())) == Counter(leaves(parsed(text))), text


def test_parquet_has_every_value(url, tmp_path: Path):
    """The column whose type changes at the 10,000th record is one of texts."""
    file = tmp_path / "odd.parquet"
    file.write_bytes(body_of(url, "parquet"))
    for read in PARQUET.values():
        found = read(file)
        assert found[0]["id"] == 0 and (found[FLIP - 1]["flip"], found[FLIP]["flip"]) == (str(FLIP - 1), f"n{FLIP}")
        assert_same_leaves(found)


#: Readers of Arrow's stream format.
ARROW = {
    "pyarrow": lambda body: pyarrow.ipc.open_stream(io.BytesIO(body)).read_all().to_pylist(),
    "polars": lambda body: polars.read_ipc_stream(io.BytesIO(body)).to_dicts(),
    "DuckDB": lambda body: duckdb.from_arrow(pyarrow.ipc.open_stream(io.BytesIO(body)).read_all()).to_arrow_table().to_pylist(),
}


def test_arrow_has_every_value_or_breaks(url):
    """A column whose type changes breaks the stream, unless its type is named."""
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        body_of(url, "arrow")
    body = body_of(url, "arrow&_columns=id:int64,flip:utf8,big:utf8,a.b:utf8,_more")
    for read in ARROW.values():
        found = read(body)
        assert found[FLIP - 1]["id"] == FLIP - 1
        assert_same_leaves(found)


def with_duckdb(file: Path, options: str) -> list[list]:
    # Without a line end it guesses one, and fails where a text contains others.
    call = f"read_csv('{file}', quote = '\"', new_line = '\\r\\n', header = true{options})"
    found = duckdb.sql(f"select * from {call}").fetchall()
    return [[cell if cell is not None else "" for cell in row] for row in found]


def with_sqlite(file: Path) -> list[list[str]]:
    command = ["sqlite3", ":memory:", ".mode csv", f".import {file} t", ".mode json", "select * from t"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return [list(row.values()) for row in json.loads(done.stdout)]


def test_readers_of_tables_have_the_same_cells(table, tmp_path: Path):
    body, header, rows = table
    file = tmp_path / "odd.csv"
    file.write_bytes(body)
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pyarrow.string()), strings_can_be_null=False)
    found = {
        "pandas": pandas.read_csv(file, dtype=str, keep_default_na=False, na_filter=False).values.tolist(),
        "polars": [[cell or "" for cell in row] for row in polars.read_csv(body, infer_schema=False).rows()],
        "pyarrow": [list(row.values()) for row in pyarrow.csv.read_csv(file, parse_options=parse, convert_options=text).to_pylist()],
        "DuckDB": with_duckdb(file, ", all_varchar = true"),
        "sqlite3": with_sqlite(file),
    }
    for name, read in found.items():
        assert read == rows, name


def test_a_column_whose_type_changes_is_read_as_it_is_or_not_at_all(table, tmp_path: Path):
    """With types that the readers guess."""
    body, header, rows = table
    file = tmp_path / "odd.csv"
    file.write_bytes(body)
    place = header.index("flip")
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    outcomes = {}
    for name, read in {
        "pandas": lambda: pandas.read_csv(file)["flip"].tolist(),
        "polars": lambda: polars.read_csv(body)["flip"].to_list(),
        "pyarrow": lambda: pyarrow.csv.read_csv(file, parse_options=parse)["flip"].to_pylist(),
        "DuckDB": lambda: [row[place] for row in with_duckdb(file, "")],
    }.items():
        try:
            found = [str(value) for value in read()]
        except Exception as error:  # noqa: BLE001
            outcomes[name] = type(error).__name__
            continue
        outcomes[name] = "the same"
        assert found == [row[place] for row in rows], name
    print(outcomes)
    assert "the same" in outcomes.values()
