"""Certificates of this machine's address, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate that signs itself, and its key, as files."""

    cert: Path
    key: Path


def pair(folder: Path, name: str = "unpage", *, authority: bool = True) -> Pair:
    """A pair for this machine. rustls takes the certificate of an authority for no server's."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Pair(folder / "cert.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:{name}"]
    names += [] if authority else ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, *names, "-keyout", made.key, "-out", made.cert], check=True, capture_output=True)
    return made
