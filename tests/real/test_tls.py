"""TLS to clients: certificates that change under handshakes."""

import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import requests
from harness.certificates import Pair, pair
from harness.process import until

HANDSHAKES = 5_000 if "UNPAGE_LONG" in os.environ else 1_000


def linked(folder: Path, made: Pair) -> None:
    """Points `folder`/current at the pair's folder at once, as Kubernetes does."""
    fresh = folder / "fresh"
    fresh.symlink_to(made.cert.parent)
    fresh.replace(folder / "current")


def served(address: tuple[str, int], protocol: str) -> bytes:
    """The certificate of one handshake, which isn't looked at, and the protocol that was agreed on."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    with socket.create_connection(address, timeout=10) as plain, context.wrap_socket(plain) as connection:
        assert connection.selected_alpn_protocol() == protocol
        return connection.getpeercert(binary_form=True)


def test_a_certificate_changes_under_handshakes(scripted, serve, tmp_path: Path):
    """No handshake fails, the new certificate is served within six seconds, and a pair that doesn't match never is."""
    pairs = [pair(tmp_path / f"pair-{number}", f"unpage-{number}") for number in range(3)]
    # The third one has the key of another.
    pairs[2].key.write_bytes(pairs[1].key.read_bytes())
    ders = [ssl.PEM_cert_to_DER_cert(made.cert.read_text()) for made in pairs]
    linked(tmp_path, pairs[0])
    upstream = scripted()
    tls = f'[tls]\ncert = "{tmp_path}/current/cert.pem"\nkey = "{tmp_path}/current/key.pem"\n\n'
    proxy = serve(config=tls + upstream.config())
    url = urlsplit(proxy.url)
    address = (url.hostname, url.port)
    assert url.scheme == "https"
    assert served(address, "h2") == ders[0]
    seen: list[bytes] = []
    stop = threading.Event()

    def shake(number: int) -> None:
        seen.append(served(address, ["h2", "http/1.1"][number % 2]))

    def shake_until_stopped() -> None:
        with ThreadPoolExecutor(8) as pool:
            count = 0
            while not stop.is_set() or count < HANDSHAKES:
                for _ in pool.map(shake, range(64)):
                    count += 1

    with ThreadPoolExecutor(1) as background:
        shaking = background.submit(shake_until_stopped)
        try:
            until(lambda: len(seen) > 100 or shaking.done(), "handshakes")
            linked(tmp_path, pairs[1])
            until(lambda: seen[-1] == ders[1] or shaking.done(), "the new certificate", 7)
            linked(tmp_path, pairs[2])
            refused = lambda: "key.pem" in proxy.child.said().split("listening on", 1)[1]  # noqa: E731
            until(lambda: refused() or shaking.done(), "a refusal of the pair that doesn't match", 10)
        finally:
            stop.set()
        shaking.result()
    assert len(seen) >= HANDSHAKES
    assert set(seen) == set(ders[:2])
    assert seen[-1] == ders[1]
    answer = requests.get(f"{proxy.url}/orders", verify=str(pairs[1].cert), timeout=10)
    assert answer.status_code == 200
    print(f"{len(seen)} handshakes, {seen.count(ders[0])} with the first certificate")
