"""Answers that lose their tail without an abort, as behind a middle box: the readers of each format that notice it, and those that don't.
docs/cut-streams.md has the table, which is measured here."""

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb
import pandas
import polars
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
import pyogrio
import pytest
import requests
from harness.process import REPOSITORY
from harness.scripted import Server, send_json

DOCUMENT = REPOSITORY / "docs" / "cut-streams.md"
TABLE = "| format | reader |"
RECORDS = 20
COLUMNS = "_columns=id,n,t"

#: Reads one body: records, or an exception.
Reader = Callable[[bytes], list]


@dataclass
class Programs:
    """A program that reads a file and prints records: one process for each body."""

    command: str

    def read(self, bodies: list[bytes], place: Path) -> list[list | None]:
        place.mkdir()
        for number, body in enumerate(bodies):
            (place / f"{number}.in").write_bytes(body)
        script = f"for file; do {self.command} > $file.out 2> $file.err; echo $? > $file.status; done"
        (place / "each").write_text(script)
        subprocess.run(["bash", "-c", "ls *.in | xargs -n 50 -P 2 bash each"], cwd=place, timeout=300, check=True)
        return [self.outcome(place / f"{number}.in") for number in range(len(bodies))]

    def outcome(self, file: Path) -> list | None:
        if file.with_name(f"{file.name}.status").read_text() != "0\n":
            return None
        return file.with_name(f"{file.name}.out").read_bytes().splitlines()


class Jq:
    """jq's parser of a text, for all bodies in one process: a start of jq takes 20 ms."""

    def read(self, bodies: list[bytes], _place: Path) -> list[list | None]:
        lines = b"".join(body.strip(b"\n") + b"\n" for body in bodies)
        done = subprocess.run(["jq", "-R", "-c", "try fromjson catch null"], input=lines, capture_output=True, timeout=300, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


@dataclass
class Node:
    """Node, which reads all bodies in one process."""

    function: str

    def read(self, bodies: list[bytes], place: Path) -> list[list | None]:
        place.mkdir()
        whole = place / "whole"
        whole.write_bytes(bodies[-1])
        lengths = json.dumps([len(body) for body in bodies])
        script = f"""
            const body = require('fs').readFileSync('{whole}');
            const read = {self.function};
            const all = {lengths}.map(length => {{ try {{ return read(body.subarray(0, length).toString()); }} catch {{ return null; }} }});
            console.log(JSON.stringify(all));
        """
        done = subprocess.run(["node", "-e", script], capture_output=True, timeout=120, check=True)
        return json.loads(done.stdout)


def of_file(read: Callable[[str], list], suffix: str = "") -> Callable[[bytes], list]:
    """A reader that reads a file alone."""

    def of_body(body: bytes) -> list:
        file = Path("/dev/shm") / f"cut-tails-{os.getpid()}{suffix}"
        file.write_bytes(body)
        try:
            return read(str(file))
        finally:
            file.unlink()

    return of_body


def with_duckdb(call: str) -> Reader:
    return of_file(lambda name: duckdb.sql(f"select * from {call.format(name)}").fetchall())


def with_csv(strict: bool, delimiter: str = ",") -> Reader:
    return lambda body: list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=strict, delimiter=delimiter))


def with_gdal(driver: str, suffix: str) -> Reader:
    return of_file(lambda name: pyogrio.read_arrow(f"{driver}:{name}")[1].to_pylist(), suffix)


def arrow_with_duckdb(body: bytes) -> list:
    stream = pyarrow.ipc.open_stream(io.BytesIO(body))
    return duckdb.sql("select * from stream").fetchall()


def rows(frame: pandas.DataFrame) -> list:
    return json.loads(frame.to_json(orient="values"))


def sequence(body: bytes) -> list:
    return [json.loads(text) for text in body.split(b"\x1e")[1:]]


SQLITE = "sqlite3 :memory: '.mode csv' '.separator \"{}\"' \".import $file t\" 'select * from t'"
ARRAY = {
    "Python json": lambda body: json.loads(body),
    "pandas `read_json`": lambda body: rows(pandas.read_json(io.BytesIO(body))),
    "polars `read_json`": lambda body: polars.read_json(io.BytesIO(body)).rows(),
    "DuckDB `read_json(…, format = 'array')`": with_duckdb("read_json('{}', format = 'array')"),
    "jq": Jq(),
    "Node `JSON.parse`": Node("JSON.parse"),
}
TABLES = {
    "Python csv, `strict=True`": with_csv(strict=True),
    "Python csv": with_csv(strict=False),
    "pandas": lambda body: rows(pandas.read_csv(io.BytesIO(body))),
    "polars": lambda body: polars.read_csv(body).rows(),
    "pyarrow": lambda body: pyarrow.csv.read_csv(io.BytesIO(body)).to_pylist(),
    "DuckDB, `quote = '\"'`": with_duckdb("read_csv('{}', quote = '\"')"),
    "DuckDB": with_duckdb("read_csv('{}')"),
    "sqlite3 `.import`": Programs(SQLITE.format(",")),
}
#: Each format's query, and its readers. A whole is read to as many records as there are, or these and a header.
READERS = {
    "json": ("_format=json", ARRAY),
    "geojson": (
        "_format=geojson",
        {
            "Python json": lambda body: json.loads(body)["features"],
            "Node `JSON.parse`": Node("text => JSON.parse(text).features"),
            "GDAL (geopandas, QGIS)": with_gdal("GeoJSON", ".geojson"),
        },
    ),
    "ndjson": (
        "_format=ndjson",
        {
            "Python json": lambda body: [json.loads(line) for line in body.splitlines()],
            "pandas `read_json(lines=True)`": lambda body: rows(pandas.read_json(io.BytesIO(body), lines=True)),
            "polars": lambda body: polars.read_ndjson(io.BytesIO(body)).rows(),
            "pyarrow": lambda body: pyarrow.json.read_json(io.BytesIO(body)).to_pylist(),
            "DuckDB": with_duckdb("read_json('{}', format = 'newline_delimited')"),
            "jq": Programs("jq -c . $file"),
            "Node": Node("text => text.split('\\n').filter(line => line).map(line => JSON.parse(line))"),
        },
    ),
    "json-seq": (
        "_format=json-seq",
        {"Python json": sequence, "jq --seq": Programs("jq --seq -c . $file")},
    ),
    "geojson-seq": (
        "_format=geojson-seq",
        {"Python json": sequence, "GDAL (geopandas, QGIS)": with_gdal("GeoJSONSeq", ".geojsons")},
    ),
    "csv": (f"_format=csv&{COLUMNS}", TABLES),
    "csv, one column": ("_format=csv&_columns=id", TABLES),
    "csv-excel": (
        f"_format=csv-excel&{COLUMNS}",
        {name: TABLES[name] for name in ("Python csv, `strict=True`", "pandas", "polars", "pyarrow")},
    ),
    "tsv": (
        f"_format=tsv&{COLUMNS}",
        {
            "Python csv, `strict=True`": with_csv(strict=True, delimiter="\t"),
            "pandas": lambda body: rows(pandas.read_csv(io.BytesIO(body), sep="\t")),
            "polars": lambda body: polars.read_csv(body, separator="\t").rows(),
            "pyarrow": lambda body: pyarrow.csv.read_csv(io.BytesIO(body), parse_options=pyarrow.csv.ParseOptions(delimiter="\t")).to_pylist(),
            "DuckDB, `quote = '\"'`": with_duckdb("read_csv('{}', delim = '\\t', quote = '\"')"),
            "sqlite3 `.import`": Programs(SQLITE.format("\\t")),
        },
    ),
    "arrow": (
        f"_format=arrow&{COLUMNS}",
        {
            "pyarrow": lambda body: pyarrow.ipc.open_stream(io.BytesIO(body)).read_all().to_pylist(),
            "polars": lambda body: polars.read_ipc_stream(io.BytesIO(body)).rows(),
            "DuckDB (by pyarrow)": arrow_with_duckdb,
        },
    ),
    "parquet": (
        f"_format=parquet&{COLUMNS}",
        {
            "pyarrow": lambda body: pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist(),
            "pandas": lambda body: rows(pandas.read_parquet(io.BytesIO(body))),
            "polars": lambda body: polars.read_parquet(io.BytesIO(body)).rows(),
            "DuckDB": with_duckdb("read_parquet('{}')"),
        },
    ),
}
#: Decoders of codings: a cut is their exit status.
CODINGS = {"gzip": "gzip -dc < $file", "zstd": "zstd -dqc < $file"}
#: Formats whose first bytes come with a batch: a list that breaks before is answered with an error's status.
BATCHED = ("arrow", "parquet")


def record(number: int, kind: str) -> dict:
    if kind == "features":
        return {"type": "Feature", "id": number, "geometry": None, "properties": {}}
    return {"id": number, "n": f'"{number}"', "t": number + 0.5}


def answer(request) -> None:
    """A record a page. `/records/N` and `/features/N` have no page behind N."""
    url = urlsplit(request.path)
    _, kind, last = url.path.split("/")
    number = int(parse_qs(url.query).get("cursor", ["1"])[0])
    is_there = number <= int(last)
    page = {"data": [record(number, kind)], "next_cursor": str(number + 1) if number < RECORDS else None}
    body = json.dumps(page, separators=(",", ":")).encode() if is_there else b"{}"
    send_json(request, body, 200 if is_there else 500)


@pytest.fixture(scope="module")
def upstream():
    server = Server(answer)
    yield server
    server.stop()


@pytest.fixture
def address(upstream, kept):
    paths = [f"/{kind}/{last}" for kind in ("records", "features") for last in range(1, RECORDS + 1)]
    return kept(config=upstream.collections(*paths, further="retry = { attempts = 1 }\n")).start().url


@pytest.fixture(scope="module")
def measured():
    """Rows of the table, as far as they were measured."""
    return {}


def sent(url: str, refusal: int | None = None) -> tuple[bytes, bool]:
    """The bytes of a body that came, and whether it ended cleanly. A status that refuses the format has none."""
    pieces = []
    with requests.get(url, stream=True, headers={"Accept-Encoding": "identity"}, timeout=60) as response:
        if response.status_code == refusal:
            return b"", False
        assert response.status_code == 200, response.text
        try:
            pieces.extend(response.iter_content(None))
        except requests.exceptions.RequestException:
            return b"".join(pieces), False
    return b"".join(pieces), True


def read_all(reader, bodies: list[bytes], place: Path) -> list[list | None]:
    """The records of each body; none where the reader reports an error."""
    if isinstance(reader, Programs | Jq | Node):
        return reader.read(bodies, place)
    outcomes = []
    for body in bodies:
        try:
            outcomes.append(reader(body))
        # The panics of polars are no `Exception`.
        except BaseException as error:  # noqa: BLE001
            if isinstance(error, KeyboardInterrupt):
                raise
            outcomes.append(None)
    return outcomes


@pytest.mark.parametrize("form", READERS)
def test_the_readers_that_notice_a_cut(form, address, measured, tmp_path: Path):
    query, readers = READERS[form]
    address += "/features" if form.startswith("geojson") else "/records"
    whole, is_whole = sent(f"{address}/{RECORDS}?{query}")
    assert is_whole
    with ThreadPoolExecutor(8) as pool:
        broken = list(pool.map(lambda last: sent(f"{address}/{last}?{query}", 500 if form in BATCHED else None), range(1, RECORDS)))
    assert not any(is_clean or not whole.startswith(body) for body, is_clean in broken)
    breaks = [len(body) for body, _ in broken]
    assert len(set(breaks)) == (1 if form in BATCHED else RECORDS - 1), breaks
    cuts = range(1, len(whole))
    for number, (name, reader) in enumerate(readers.items()):
        *outcomes, expected = read_all(reader, [whole[:cut] for cut in (*cuts, len(whole))], tmp_path / str(number))
        assert expected is not None and len(expected) in (RECORDS, RECORDS + 1), f"{name} can't read the whole: {expected}"
        silent = {cut for cut, outcome in zip(cuts, outcomes, strict=True) if outcome is not None and outcome != expected}
        missed = silent & set(breaks)
        measured[form, name] = f"{len(missed)} of {len(breaks)} | {len(silent)} of {len(cuts)}"
        print(form, name, measured[form, name], sorted(missed))


def test_every_format_has_a_length_and_in_a_coding_shows_every_cut(address, tmp_path: Path):
    for form, (query, _) in READERS.items():
        url = f"{address}/{'features' if form.startswith('geojson') else 'records'}/{RECORDS}?{query}"
        whole = requests.get(f"{url}&_wait=complete", headers={"Accept-Encoding": "identity"}, timeout=60)
        assert whole.status_code == 200 and int(whole.headers["Content-Length"]) == len(whole.content), form
        if form == "parquet":
            continue
        for coding, command in CODINGS.items():
            with requests.get(url, headers={"Accept-Encoding": coding}, stream=True, timeout=60) as response:
                assert response.headers["Content-Encoding"] == coding, form
                code = response.raw.read(decode_content=False)
            # The programs decode all alike: every cut of NDJSON, and of the others one.
            cuts = range(1 if form == "ndjson" else len(code) - 1, len(code))
            *cut, decoded = Programs(command).read([code[:at] for at in (*cuts, len(code))], tmp_path / f"{form}-{coding}")
            assert decoded == whole.content.splitlines() and not any(cut), form


def test_a_marker_shows_every_cut_of_lines(address):
    whole, is_whole = sent(f"{address}/records/{RECORDS}?_format=ndjson&_end=marker")
    broken, is_clean = sent(f"{address}/records/{RECORDS - 1}?_format=ndjson&_end=marker")
    assert is_whole and not is_clean
    assert marked(whole) == list(range(1, RECORDS + 1))
    # All that may be missing is the line feed of the marker.
    assert not any(marked(whole[:cut]) for cut in range(len(whole) - 1))
    assert not any(marked(broken[:cut]) for cut in range(len(broken) + 1))


def marked(body: bytes) -> list[int] | None:
    """The numbers of the records in front of a marker of their proven end; none without one."""
    try:
        *records, last = [json.loads(line) for line in body.splitlines()]
    except ValueError:
        return None
    return [record["id"] for record in records] if last.get("_unpage", {}).get("end") == "complete" else None


def test_the_table_of_the_documentation_is_what_was_measured(measured):
    """Rows that another selection of tests left out aren't compared."""
    assert measured
    text = DOCUMENT.read_text()
    start = text.index(TABLE)
    end = text.index("\n\n", start)
    if "UPDATE_GOLDEN" in os.environ:
        rendered = "".join(f"\n| `{form}` | {name} | {row} |".replace("`csv, one column`", "`csv`, one column") for (form, name), row in measured.items())
        DOCUMENT.write_text(text[:start] + f"{TABLE} breaks unnoticed | cuts unnoticed |\n|---|---|---|---|" + rendered + text[end:])
        return
    documented = text[start:end].replace("`csv`, one column", "`csv, one column`").splitlines()
    missing = [row for (form, name), one in measured.items() if (row := f"| `{form}` | {name} | {one} |") not in documented]
    assert not missing, "docs/cut-streams.md has other rows than these:\n" + "\n".join(missing)
