"""Malformed requests: none becomes more than one request upstream, and none of an attacker's reaches it."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from harness.malformed import EVIL, REFUSED, REQUESTS
from harness.raw import Recorder, exchange, field, target


@pytest.fixture
def recorder():
    upstream = Recorder()
    yield upstream
    upstream.stop()


@pytest.mark.parametrize("accept", ["*/*", "application/x-ndjson"], ids=["passed-through", "streamed"])
def test_a_malformed_request_is_one_request_at_most(accept, recorder, serve):
    proxy = serve(upstream=recorder.url)
    host = urlsplit(proxy.url).netloc

    def send(number: int) -> bytes:
        request = list(REQUESTS.values())[number]
        if isinstance(request, str):
            request = request.encode("latin-1")
        named = request.replace(b"/N", b"/n%d-" % number).replace(b"HOST", host.encode())
        named = named.replace(b"\r\nHost:", f"\r\nAccept: {accept}\r\nHost:".encode(), 1)
        return exchange((host.split(":")[0], int(host.split(":")[1])), named, 0.7)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(len(REQUESTS))))
    problems = []
    for number, (name, answer) in enumerate(zip(REQUESTS, answers, strict=True)):
        heads = [head for head in recorder.heads if target(head).startswith(f"/n{number}-")]
        status = answer[:12].decode("latin-1")
        print(f"{name}: {status!r}, {len(heads)} upstream")
        if len(heads) > 1:
            problems.append(f"{name}: {len(heads)} requests upstream")
        if name in REFUSED and (heads or status not in ("HTTP/1.1 400", "HTTP/1.1 501")):
            problems.append(f"{name}: {status!r}, {len(heads)} upstream, where it should be refused")
        if answer.count(b"HTTP/1.1 ") > 1 and answer.count(b"HTTP/1.1 200") > 1:
            problems.append(f"{name}: two answers: {answer[:300]!r}")
    upstream = urlsplit(recorder.url).netloc
    for head in recorder.heads:
        names = [line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
        if EVIL.encode() in head.replace(b"/n", b"").split(b"%0d%0a")[0].lower():
            problems.append(f"an attacker's words went upstream: {head!r}")
        if names.count(b"host") != 1 or field(head, "host") != upstream:
            problems.append(f"not the upstream's Host: {head!r}")
        if len({b"content-length", b"transfer-encoding"} & set(names)) > 1 or names.count(b"content-length") > 1:
            problems.append(f"a length that can be read in two ways: {head!r}")
        if b"\n" in head.replace(b"\r\n", b"") or b"\0" in head:
            problems.append(f"control characters: {head!r}")
    assert not problems, "\n".join(problems)
    assert len(REQUESTS) >= 60
    # Well-formed ones among them get through, so that the upstream is known to be asked.
    assert recorder.heads
    assert proxy.child.running()
