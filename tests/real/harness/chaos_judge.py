"""Judge of chaos: a program of its own, which knows the clients' bytes, their ends and the upstream's log, and nothing of unpage.

    python -m harness.chaos_judge FOLDER

The folder holds `cases.jsonl` (each line a case, its end and the file of its client) and `upstream.jsonl` (each line a
request). It prints what it counted as JSON; its status is 0 if no stream was wrong."""

import json
import sys
import zlib
from collections import Counter
from pathlib import Path

from .forms import FORMS, TEXTS


def main(folder: Path) -> int:
    log = [json.loads(line) for line in (folder / "upstream.jsonl").open()]
    requests = Counter(request["case"] for request in log)
    callers = {(request["case"], request["caller"]) for request in log}
    ends: Counter[str] = Counter()
    forms: Counter[str] = Counter()
    passing: Counter[str] = Counter()
    problems = []
    for line in (folder / "cases.jsonl").open():
        case = json.loads(line)
        file = folder / case["file"]
        left = file.read_bytes() if file.exists() else b""
        problem = wrong(case, left)
        end = "complete" if case["is_whole"] else "broken"
        ends[f"{case['kind']}, {case['harm']}: {end}"] += 1
        forms[f"{case['form']}: {end}"] += 1
        if not requests[case["seed"]]:
            problem = problem or "the upstream was never asked"
        if foreign := {caller for seed, caller in callers if seed == case["seed"]} - {case["caller"]}:
            problem = f"the upstream was asked with the credentials of {foreign}"
        if problem:
            problems.append(f"UNPAGE_SEED={case['seed']}: {problem}: {case['says']}; {case['harm']}; {case['detail']}")
        if case["kind"] in ("good", "passing"):
            is_cheap = requests[case["seed"]] <= 1.2 * case["pages"]
            passing["all"] += 1
            passing["complete"] += case["is_whole"]
            passing["complete, at most 1.2 requests a page"] += case["is_whole"] and is_cheap
            passing["pages"] += case["pages"]
            passing["requests"] += requests[case["seed"]]
            if not (case["is_whole"] and is_cheap):
                said = f"{end}, {requests[case['seed']]} requests for {case['pages']} pages"
                print(f"UNPAGE_SEED={case['seed']}: {said}: {case['says']}; {case['harm']}; {case['detail']}", file=sys.stderr)
    print(json.dumps({"ends": dict(sorted(ends.items())), "forms": dict(sorted(forms.items())), "passing": dict(passing), "problems": problems}))
    return 1 if problems else 0


def wrong(case: dict, left: bytes) -> str | None:
    """What is wrong with the bytes of a client, if anything is."""
    return wrong_lines(case, left) if case["form"] == "ndjson" else wrong_body(case, left)


def wrong_body(case: dict, left: bytes) -> str | None:
    try:
        records = FORMS[case["form"]](left)
        if case["form"] in TEXTS:
            records = [{name: cell if name == "pad" else int(cell) for name, cell in row.items()} for row in records]
    except Exception as error:  # noqa: BLE001
        return f"a clean end that can't be read: {error}: {left[-80:]!r}" if case["is_whole"] else None
    for record in records:
        # The tables have other columns.
        record.pop("type", None)
        if record.pop("crc") != checksum(record) or record["list"] != case["seed"]:
            return f"a record's checksum or list is wrong: {record}"
    seen = [record["id"] for record in records]
    everything = list(range(1, case["records"] + 1))
    if sorted(seen) != everything and (case["is_whole"] or seen):
        return f"{'a clean end' if case['is_whole'] else 'a break'} that reads as {len(seen)} of {case['records']} records"
    if case["is_whole"] and case["kind"] != "lying" and seen != everything:
        return "a clean end with records in another order"
    return None


def checksum(record: dict) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def wrong_lines(case: dict, left: bytes) -> str | None:
    *lines, rest = left.split(b"\n")
    seen = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            return f"a line is no JSON: {line[:80]!r}"
        crc = record.pop("crc")
        record.pop("type")
        if crc != checksum(record):
            return f"a record's checksum is wrong: {line[:80]!r}"
        if record["list"] != case["seed"]:
            return f"a record of another list: {line[:80]!r}"
        seen.append(record["id"])
    if case["is_whole"]:
        everything = list(range(1, case["records"] + 1))
        if rest or sorted(seen) != everything:
            missing = sorted(set(everything) - set(seen))[:5]
            return f"a clean end with {len(seen)} of {case['records']} records, missing {missing}, rest {rest[:40]!r}"
        if case["kind"] != "lying" and seen != everything:
            return "a clean end with records in another order"
        return None
    if len(set(seen)) != len(seen):
        return "a record came twice"
    if case["kind"] != "lying" and seen != list(range(1, len(seen) + 1)):
        return "what came before the break is no beginning of the list"
    if seen or rest:
        try:
            json.loads(rest)
        except ValueError:
            return None
        return f"a broken stream ends with a whole line: {rest[:80]!r}"
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
