"""The examples of docs/clients.md and clients-in-code.md: each runs against unpage, gets all records, and is an error where the stream breaks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness.process import REPOSITORY
from harness.scripted import PAGES, RECORDS, WHOLE, Fault, Scripted

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
    pages = [REPOSITORY / "docs" / name for name in ("clients.md", "clients-in-code.md")]
    text = "".join(page.read_text() for page in pages)
    blocks = re.findall(r"^```(\w+(?: \w+)?)\n(.*?)^```$", text, re.M | re.S)
    return [pytest.param(language, code, id=f"{at}-{language}") for at, (language, code) in enumerate(blocks)]


def command(language: str, code: str) -> list[str]:
    match language:
        case "sh":
            return ["bash", "-euo", "pipefail", "-c", code]
        case "python":
            return [sys.executable, "-c", code]
        case "js":
            return ["node", "--input-type=module", "-e", code]
        case "r":
            return ["Rscript", "-e", code]
        case "go":
            return ["bash", "-euc", 'printf %s "$0" > orders.go; go run orders.go', code]
        case "java":
            return ["bash", "-euc", 'printf %s "$0" > Orders.java; java Orders.java', code]
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


def continuing() -> list:
    """Examples that continue a file of records."""
    return [example for example in examples() if "orders.ndjson" in example.values[1] and "_wait" not in example.values[1]]


def test_there_are_examples():
    assert len(examples()) >= 21
    assert [example.values[0] for example in continuing()] == ["sh", "sh", "python", "go", "java"]


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


@pytest.mark.parametrize(("language", "code"), continuing())
def test_an_example_continues_its_file(language, code, orders, kept, tmp_path: Path):
    upstream = orders(Fault.CUT)
    proxy = kept(config=upstream.config()).start()
    assert run(language, code, proxy.url, tmp_path).returncode != 0
    file = tmp_path / "orders.ndjson"
    begun = file.read_bytes()
    upstream.fault = Fault.NONE
    done = run(language, code, proxy.url, tmp_path)
    assert done.returncode == 0, done.stderr
    whole = WHOLE.replace(b'"ratio":', b'"status":"paid","total":')
    assert begun and file.read_bytes() == whole and whole.startswith(begun)
    assert upstream.calls[1] == 1
