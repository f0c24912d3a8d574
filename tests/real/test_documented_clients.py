"""The examples of docs/clients.md: each runs against unpage, gets all records, and is an error where the stream breaks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness.process import REPOSITORY
from harness.scripted import PAGES, RECORDS, Fault, Scripted

#: The reader of a language's examples; each writes what it has read to stdout or to a file.
DUCKDB = """
import sys, duckdb, duckdb_extension_httpfs
from pathlib import Path
folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
duckdb.sql(f"load '{folder / 'httpfs.duckdb_extension'}'")
print(duckdb.execute(sys.argv[1]).fetchall())
"""
CLICKHOUSE = "import sys, chdb; print(chdb.query(sys.argv[1], 'TabSeparated'))"


def examples() -> list:
    text = (REPOSITORY / "docs" / "clients.md").read_text()
    blocks = re.findall(r"^```(sh|python|js|sql \w+)\n(.*?)^```$", text, re.M | re.S)
    return [pytest.param(language, code, id=f"{at}-{language}") for at, (language, code) in enumerate(blocks)]


def command(language: str, code: str) -> list[str]:
    match language:
        case "sh":
            return ["bash", "-euo", "pipefail", "-c", code]
        case "python":
            return [sys.executable, "-c", code]
        case "js":
            return ["node", "--input-type=module", "-e", code]
        case "sql duckdb":
            return [sys.executable, "-c", DUCKDB, code]
        case "sql clickhouse":
            return [sys.executable, "-c", CLICKHOUSE, code]
    raise ValueError(language)


def run(language: str, code: str, url: str, place: Path) -> subprocess.CompletedProcess:
    code = code.replace("http://127.0.0.1:8080", url)
    return subprocess.run(command(language, code), cwd=place, capture_output=True, text=True, timeout=120)


class Orders(Scripted):
    """The scripted upstream, whose records have the members of the examples."""

    def send(self, request, status: int, body: bytes, length: int | None = None) -> None:
        super().send(request, status, body.replace(b'"ratio":', b'"status":"paid","total":'), length)


@pytest.fixture
def orders():
    running: list[Orders] = []

    def start(fault: Fault = Fault.NONE) -> Orders:
        running.append(Orders(fault))
        return running[-1]

    yield start
    for upstream in running:
        upstream.stop()


def test_there_are_examples():
    assert len(examples()) >= 12


@pytest.mark.parametrize(("language", "code"), examples())
def test_an_example_reads_everything(language, code, orders, kept, tmp_path: Path):
    upstream = orders()
    proxy = kept(config=upstream.config()).start()
    done = run(language, code, proxy.url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert upstream.calls[PAGES] >= 1
    file = tmp_path / "orders.ndjson"
    if file.exists():
        assert len(file.read_bytes().splitlines()) == PAGES * RECORDS


@pytest.mark.parametrize(("language", "code"), examples())
def test_an_example_fails_where_the_stream_breaks(language, code, orders, kept, tmp_path: Path):
    upstream = orders(Fault.CUT)
    proxy = kept(config=upstream.config()).start()
    done = run(language, code, proxy.url, tmp_path)
    print(done.stderr[-500:])
    assert done.returncode != 0, done.stdout
    assert upstream.calls[PAGES] == 0 < upstream.calls[1]
