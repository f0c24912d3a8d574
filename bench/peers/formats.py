"""Formats and codings of one finished snapshot, beside programs that make the same of the same bytes: formats.py UNPAGE [--quick] [--gate]
[--out FOLDER]

Prints tables in Markdown. Processor time is that of unpage's threads, in ns (/proc/PID/task/*/schedstat), or of the other program; that of
Python starts after its imports."""

import http.client
import http.server
import io
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyarrow

QUICK = "--quick" in sys.argv
# A gate closes so far behind a goal.
MARGIN = 1.15
PAGES, ROUNDS, FIRSTS, TRICKLE = (4, 1, 3, 4) if QUICK else (100, 3, 21, 20)
#: Between two records of the trickle, in s: far more than what bytes wait for in a compressor, so that records a second apart are as late.
SPACING = 0.25
RECORDS_A_PAGE = 2000
COLUMNS = "id created status total currency customer.id customer.name customer.email items paid note country weight".split()
CONFIG = """listen = "127.0.0.1:{port}"
[snapshots]
dir = "{dir}"
disk = "8GiB"
fresh_for = "1h"
keep_for = "1h"
[[collection]]
path = "/orders"
upstream = "{upstream}"
records = "data"
pagination = {{ type = "cursor", next = "next", param = "cursor" }}
[[collection]]
path = "/trickle"
upstream = "{upstream}"
records = "data"
pagination = {{ type = "cursor", next = "next", param = "cursor" }}
"""
#: In the first record alone, near its end.
FIRST = b"Atlantis"
#: The same measured twice: the difference is noise.
AGAIN = "ndjson again (A/A)"
MISSED = "**missed**"
#: Each format, and what it has to be, in MB of NDJSON for each second of a core.
FORMATS = {"json": None, "csv": 250, "arrow": 150, "parquet": 80}
#: Formats of which only the first record is timed. That of Parquet comes with the whole.
FURTHER_FIRSTS = {
    "json-seq": "_format=json-seq",
    "csv-excel": "_format=csv-excel",
    "tsv": "_format=tsv",
    "csv of named columns": f"_format=csv&_columns={','.join(COLUMNS)}",
}


def record(number: int) -> dict:
    customer = number % 5000
    return {
        "id": number,
        "created": f"2026-01-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:05Z",
        "status": ("open", "paid", "shipped")[number % 3],
        "total": number % 997 + 0.5,
        "currency": "EUR",
        "customer": {"id": customer, "name": f"Customer {customer}", "email": f"c{customer}@example.com"},
        "items": number % 9,
        "paid": number % 2 == 0,
        "note": None,
        "country": "DE" if number else FIRST.decode(),
        "weight": number % 300 / 10,
    }


def page(number: int) -> bytes:
    data = [record(number * RECORDS_A_PAGE + index) for index in range(RECORDS_A_PAGE)]
    return json.dumps({"data": data, "next": str(number + 1) if number + 1 < PAGES else None}, separators=(",", ":")).encode()


#: Records of the trickle, all of one length, and the moments at which the upstream has sent them.
DROPS = [b'{"id":%03d,"text":"%s"}' % (number, b"x" * 200) for number in range(TRICKLE)]
sent: list[float] = []


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path.startswith("/trickle"):
            return self.trickle()
        body = page(int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def trickle(self):
        pieces = [b'{"data":[', *(drop + b"," for drop in DROPS[:-1]), DROPS[-1], b'],"next":null}']
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(sum(map(len, pieces))))
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
            if piece[:5] == b'{"id"':
                sent.append(time.perf_counter())
                time.sleep(SPACING)

    def log_message(self, *_):
        pass


class Unpage:
    def __init__(self, binary: str, folder: Path, upstream: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = folder / "unpage.toml"
        config.write_text(CONFIG.format(port=port, dir=folder / "snapshots", upstream=upstream))
        self.process = subprocess.Popen([binary, "serve", "--config", config], stderr=(folder / "log").open("w"))
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/orders"
        for _ in range(600):
            try:
                return socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                time.sleep(0.05)
        raise SystemExit("unpage does not listen")

    def cpu(self) -> float:
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", status)[1]) * 1024

    def read(self, query: str, *fields: str) -> tuple[float, int]:
        """Processor time, and the most memory beyond that at the start."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        before, cpu = self.memory("VmRSS"), self.cpu()
        command = ["curl", "-sSf", "-o", "/dev/null", *(part for field in fields for part in ("-H", field)), f"{self.url}?{query}"]
        subprocess.run(command, check=True)
        return self.cpu() - cpu, max(0, self.memory("VmHWM") - before)

    def first_record(self, query: str, coding: str | None) -> float:
        """Time of the first record, in ms."""
        start, body = time.perf_counter(), b""
        with self.decoded(query, coding) as text:
            while FIRST not in body:
                # The decoder waits for all of the bytes that it is asked for.
                body += text.read(64) if coding else text.read1()
            return (time.perf_counter() - start) * 1000

    def trickled(self, coding: str | None) -> list[float]:
        """Delay of each record of the trickle but the first, behind the upstream's write, in ms. Its last byte comes with its successor."""
        seen = []
        with self.decoded("trickle?_format=ndjson", coding) as text:
            for number, drop in enumerate(DROPS):
                text.read(len(drop) + 1 if number else len(drop) - 1)
                seen.append(time.perf_counter())
            text.read()
        return [(at - then) * 1000 for at, then in zip(seen, sent, strict=True)][1:]

    def decoded(self, query: str, coding: str | None):
        answer = urllib.request.urlopen(urllib.request.Request(f"{self.root}/{query}", headers={"Accept-Encoding": coding or "identity"}))
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(Arriving(answer), "r"), coding) if coding else answer


class Arriving(io.RawIOBase):
    """A body that gives what has come, where it would wait for all that was asked for."""

    def __init__(self, answer: http.client.HTTPResponse):
        self.answer = answer

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.answer.read1(size)


def program(*command: str, stdin: Path) -> float:
    """Processor time of a program."""
    with stdin.open("rb") as file:
        child = subprocess.Popen(command, stdin=file, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, command
    return usage.ru_utime + usage.ru_stime


def python(work: str, imports: str, file: Path) -> float:
    """Processor time of lines of Python, after their imports."""
    script = f"import json, sys, time\n{imports}\nfile = sys.argv[1]\nstart = time.process_time()\n{work}\nprint(time.process_time() - start)"
    return float(subprocess.run([sys.executable, "-c", script, file], check=True, capture_output=True, text=True).stdout)


def peers(lines: Path, out: Path) -> dict:
    return {
        "mlr": lambda: program("mlr", "--ijsonl", "--ocsv", "unsparsify", stdin=lines),
        "pandas": lambda: python(f"pandas.json_normalize([json.loads(line) for line in open(file)]).to_csv('{out}', index=False)", "import pandas", lines),
        "pyarrow.json to Parquet": lambda: python(
            f"pyarrow.parquet.write_table(pyarrow.json.read_json(file, read_options=pyarrow.json.ReadOptions(use_threads=False)), '{out}')",
            "import pyarrow.json, pyarrow.parquet",
            lines,
        ),
        "gzip -1": lambda: program("gzip", "-1", "-c", stdin=lines),
        "zstd -1": lambda: program("zstd", "-1", "-c", "-q", "--single-thread", stdin=lines),
    }


def measure(unpage: Unpage, folder: Path) -> bool:
    """Prints the tables. Returns true if each figure is within the margin of its goal."""
    lines = folder / "orders.ndjson"
    urllib.request.urlretrieve(f"{unpage.url}?_format=ndjson", lines)
    megabytes = lines.stat().st_size / 1e6
    ways = {"ndjson": "_format=ndjson", "json": "_format=json", "csv": "_format=csv", "arrow": "_format=arrow"}
    codings = {"gzip": "gzip", "zstd": "zstd"}
    cpu, memory = {}, {}
    others = peers(lines, folder / "out")
    for number in range(ROUNDS):
        for name, query in [*ways.items(), (AGAIN, ways["ndjson"])]:
            note(cpu, memory, name, unpage.read(query))
        # Another order of the columns is another file, which is made anew.
        order = COLUMNS[number:] + COLUMNS[:number]
        note(cpu, memory, "parquet", unpage.read(f"_format=parquet&_columns={','.join(order)}"))
        for name, coding in codings.items():
            note(cpu, memory, name, unpage.read("_format=ndjson", f"Accept-Encoding: {coding}"))
        for name, other in others.items():
            cpu.setdefault(name, []).append(other())
    first_of = {**ways, **FURTHER_FIRSTS, AGAIN: ways["ndjson"]} | dict.fromkeys(codings, ways["ndjson"])
    firsts = {name: [] for name in first_of}
    for number in range(FIRSTS):
        for name, query in list(first_of.items())[:: -1 if number % 2 else 1]:
            firsts[name].append(unpage.first_record(f"orders?{query}", codings.get(name)))
    # All read one crawl.
    with ThreadPoolExecutor() as pool:
        trickled = dict(zip(["ndjson", *codings], pool.map(unpage.trickled, [None, *codings.values()]), strict=True))
    print(f"A snapshot of {megabytes:.0f} MB, {ROUNDS} rounds.\n")
    print("| format | MB of NDJSON a second of a core | at least | | most memory, MiB | beside NDJSON's |\n|---|---|---|---|---|---|")
    plain = statistics.median(memory["ndjson"])
    verdicts = []
    for name in ["ndjson", AGAIN, *FORMATS, *codings]:
        most, speed = statistics.median(memory[name]), [megabytes / one for one in cpu[name]]
        goal = FORMATS.get(name)
        verdicts.append(verdict(statistics.median(speed), goal))
        print(f"| {name} | {spread(speed, 0)} | {goal or ''} | {verdicts[-1]} | {most / 2**20:.1f} | {(most - plain) / 2**20:+.1f} |")
    print("\n| figure | at least | seen, median (min–max) | |\n|---|---|---|---|")
    for what, ratio, least in [
        ("NDJSON again (A/A)", ("ndjson", AGAIN), None),
        ("JSON array / NDJSON", ("ndjson", "json"), 0.9),
        ("CSV / Miller", ("mlr", "csv"), 3),
        ("CSV / pandas", ("pandas", "csv"), 10),
        ("Parquet / pyarrow.json to Parquet", ("pyarrow.json to Parquet", "parquet"), None),
        ("gzip / gzip -1", ("gzip -1", "gzip"), 0.95),
        ("zstd / zstd -1", ("zstd -1", "zstd"), 0.95),
    ]:
        seen = [one / other for one, other in zip(*(cpu[name] for name in ratio), strict=True)]
        verdicts.append(verdict(statistics.median(seen), least))
        print(f"| speed, {what} | {least or ''} | {spread(seen, 2)} | {verdicts[-1]} |")
    # The other way round, since they may be so many ms at most.
    for name in [name for name in firsts if name != "ndjson"]:
        later = [one - other for one, other in zip(firsts[name], firsts["ndjson"], strict=True)]
        goal = None if name == AGAIN else 5
        verdicts.append(verdict(5, goal and statistics.median(later)))
        print(f"| first record of {name} later than NDJSON's, ms | {goal and '≤ 5' or ''} | {spread(later, 1)} | {verdicts[-1]} |")
    for name, delays in trickled.items():
        goal = 60 if name in codings else None
        verdicts.append(verdict(60, goal and max(delays)))
        print(f"| each record of a trickle in {name} later than the upstream's, ms | {goal and '≤ 60' or ''} | {spread(delays, 1)} | {verdicts[-1]} |")
    if "--out" in sys.argv:
        out = Path(sys.argv[sys.argv.index("--out") + 1]) / "formats.json"
        out.write_text(json.dumps({"cpu_seconds": cpu, "memory_bytes": memory, "first_record_ms": firsts, "trickle_ms": trickled}, indent=1))
    return MISSED not in verdicts


def verdict(seen: float, goal: float | None) -> str:
    """The word for a figure that has to be at least its goal."""
    if goal is None or seen >= goal:
        return "" if goal is None else "reached"
    return MISSED if seen * MARGIN < goal else "missed by < 15 %"


def note(cpu: dict, memory: dict, name: str, seen: tuple[float, int]) -> None:
    cpu.setdefault(name, []).append(seen[0])
    memory.setdefault(name, []).append(seen[1])


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def main() -> None:
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        unpage = Unpage(sys.argv[1], Path(folder), f"http://127.0.0.1:{upstream.server_port}")
        try:
            is_good = measure(unpage, Path(folder))
        finally:
            unpage.process.terminate()
            unpage.process.wait()
    sys.exit("--gate" in sys.argv and not is_good)


if __name__ == "__main__":
    main()
