"""Chaos around the program: an upstream and a wire that fail in eighteen ways, every format, and a process that is killed, stopped, or
can't write. Each crawl follows from its seed: `UNPAGE_SEED=17` runs one alone, `UNPAGE_SEED=0..320` some, `UNPAGE_LONG=1` many."""

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import chaos_judge
from harness.chaos_case import BATCH, Case, Harm, harm_of
from harness.chaos_upstream import ChaosUpstream
from harness.client import Outcome
from harness.download import Curl
from harness.forms import FORMS, query
from harness.kept import Kept
from harness.process import until

#: Formats whose head comes with the end of a short list: before it, only a session names the snapshot.
LATE = ("arrow", "parquet")
CASES = 10_000 if "UNPAGE_LONG" in os.environ else 1_000
#: Batches that run at a time: one mostly waits for timeouts.
AT_ONCE = 3
#: Python ignores SIGXFSZ, and its children keep ignoring it: a write beyond the limit fails and kills no process.
LIMITED = ["prlimit", "--fsize=16384", sys.executable, "-c", "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"]
FAILING = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=pwritev,pwrite64"]
PREFIX = {Harm.FULL: LIMITED, Harm.EIO: [*FAILING, "-e", "inject=pwritev,pwrite64:error=EIO:when=30+"]}


def test_no_crawl_ends_cleanly_with_wrong_records(tmp_path: Path):
    asked = seeds()
    batches: dict[int, list[Case]] = {}
    for seed in asked:
        batches.setdefault(seed // BATCH, []).append(Case.of(seed))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        logs = list(pool.map(lambda batch: run(batch, batches[batch], tmp_path), batches))
    (tmp_path / "cases.jsonl").write_text("".join(cases for cases, _ in logs))
    (tmp_path / "upstream.jsonl").write_text("".join(requests for _, requests in logs))
    judge = [sys.executable, "-m", chaos_judge.__name__, str(tmp_path)]
    judged = subprocess.run(judge, cwd=Path(chaos_judge.__file__).parents[1], capture_output=True, text=True)
    print(judged.stderr)
    found = json.loads(judged.stdout)
    print(f"seeds {asked.start}..{asked.stop}: {json.dumps(found, indent=1)}")
    assert not found["problems"]
    assert judged.returncode == 0
    if "UNPAGE_SEED" not in os.environ:
        assert all(found["forms"][f"{form}: {end}"] for form in ["ndjson", *FORMS] for end in ("complete", "broken"))
        passing = found["passing"]
        assert {end.split(", ", 1)[1].rsplit(": ", 1)[0] for end in found["ends"]} == {harm.value for harm in Harm}
        assert passing["complete, at most 1.2 requests a page"] >= 0.95 * passing["all"] > 0


def seeds() -> range:
    first, _, end = os.environ.get("UNPAGE_SEED", f"0..{CASES}").partition("..")
    return range(int(first), int(end or int(first) + 1))


def run(batch: int, cases: list[Case], place: Path) -> tuple[str, str]:
    """Runs cases over one process, and returns what the judge needs: the cases with their ends, and the upstream's log."""
    harm, moment = harm_of(batch)
    folder = place / f"batch-{batch}"
    folder.mkdir()
    upstream = ChaosUpstream()
    upstream.cases = {case.seed: case for case in cases}
    proxy = Kept(folder, upstream.config(cases), PREFIX.get(harm), linger="5s", memory="64MiB")
    proxy.start()
    event = upstream.after(max(1, int(moment * sum(case.pages for case in cases))))
    done = threading.Event()
    try:
        with ThreadPoolExecutor(9) as pool:
            life = pool.submit(live, proxy, harm, event, done)
            try:
                outcomes = list(pool.map(lambda case: download(proxy, case, form_of(case, harm), folder), cases))
            finally:
                done.set()
                event.set()
            suffered = harm if life.result() else Harm.NONE
    finally:
        is_alive = proxy.child.running()
        proxy.stop()
        upstream.stop()
    assert is_alive, f"unpage ended by itself:\n{proxy.said()}"
    lines = ""
    for case, outcome in zip(cases, outcomes, strict=True):
        told = {"seed": case.seed, "caller": case.caller, "kind": case.kind.value, "form": form_of(case, harm), "records": case.records, "pages": case.pages}
        told |= {"says": case.says(), "harm": suffered.value, "file": f"batch-{batch}/{case.seed}.ndjson"}
        told |= {"is_whole": outcome.how == "whole", "detail": f"{outcome.how} {outcome.detail.strip()[-200:]}"}
        lines += json.dumps(told) + "\n"
    return lines, "".join(json.dumps(entry) + "\n" for entry in upstream.log)


def live(proxy: Kept, harm: Harm, event: threading.Event, done: threading.Event) -> bool:
    """Does to the process what the batch is about, once the upstream has been asked often enough. True if it was done."""
    event.wait()
    if harm in PREFIX:
        done.wait()
        return "goes on in memory" in proxy.said()
    if done.is_set():
        return False
    if harm is Harm.KILLED:
        proxy.kill()
        proxy.start()
    if harm is Harm.STOPPED:
        proxy.child.signal(signal.SIGSTOP)
        # The fault itself is a time: longer than the timeout of a page.
        done.wait(0.5)
        proxy.child.signal(signal.SIGCONT)
    return True


def form_of(case: Case, harm: Harm) -> str:
    """Parquet is made in a file, which unpage can't write in some batches."""
    return "csv" if case.form == "parquet" and harm in PREFIX else case.form


def download(proxy: Kept, case: Case, form: str, folder: Path) -> Outcome:
    """A client as people write it: what broke is resumed at its byte, and begun again where there is nothing to resume."""
    # Callers of their own: a 429 of one slows the pace of no other.
    options = ["-f", case.version, "--max-time", "60", "-H", f"Authorization: {case.caller}"]
    # Every other client decodes as it receives, and resumes at the number of decoded bytes.
    options += ["--compressed"] if case.seed % 2 else []
    asked = f"?{query(form, 'id,list,pad,crc')}" if form in FORMS else ""
    if form in LATE:
        asked += f"&_snapshot=~case-{case.seed}"
    curl = Curl(proxy.url + case.path + asked, folder / f"{case.seed}.ndjson", *options)
    outcome = curl.begin().outcome()
    for _ in range(3):
        if outcome.how == "whole" or is_refused(outcome):
            break
        # A process that was killed listens again before the next try: tries at a closed port are over in milliseconds.
        until(proxy.listens, "unpage serve to listen again")
        is_pinned = curl.head.exists() and b"content-location" in curl.head.read_bytes().lower()
        outcome = (curl.go_on() if is_pinned and curl.size() else curl.begin()).outcome()
    return outcome


def is_refused(outcome: Outcome) -> bool:
    """True for an answer of status 400 and above, which another try would only repeat."""
    return outcome.how == "exit 22"
