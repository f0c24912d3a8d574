"""Formats other than NDJSON: readers that refuse a body that is not whole."""

import csv
import io
import json
from collections.abc import Callable

import pyarrow.ipc
import pyarrow.parquet


def table(body: bytes, delimiter: str = ",") -> list[dict]:
    """Rows whose cells are texts."""
    header, *rows = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True, delimiter=delimiter)
    return [dict(zip(header, row, strict=True)) for row in rows]


def sequence(body: bytes) -> list[dict]:
    return [json.loads(text) for text in body.split(b"\x1e")[1:]]


#: Reader of each format; those of GeoJSON take Features. An exception is a body that is not whole.
FORMS: dict[str, Callable[[bytes], list[dict]]] = {
    "json": lambda body: json.loads(body),
    "json-seq": sequence,
    "geojson": lambda body: json.loads(body)["features"],
    "geojson-seq": sequence,
    "csv": table,
    "csv-excel": table,
    "tsv": lambda body: table(body, "\t"),
    "arrow": lambda body: pyarrow.ipc.open_stream(io.BytesIO(body)).read_all().to_pylist(),
    "parquet": lambda body: pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist(),
}
#: Formats whose cells are texts.
TEXTS = ("csv", "csv-excel", "tsv")
#: Formats of columns, which a query may name.
COLUMNAR = (*TEXTS, "arrow", "parquet")


def query(form: str, columns: str) -> str:
    return f"_format={form}&_columns={columns}" if form in COLUMNAR else f"_format={form}"


def ids(form: str, body: bytes) -> list[int] | None:
    """The numbers of the records; none where the reader of the format refuses the body."""
    try:
        return [int(record["id"]) for record in FORMS[form](body)]
    except Exception:  # noqa: BLE001
        return None
