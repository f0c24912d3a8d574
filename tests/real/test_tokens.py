"""Tokens of an OAuth 2.0 server that Authlib implements: crawls outlive them, and a refusal is the configuration's fault."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from harness.oauth import PAGES, RECORDS, Client, OAuth
from harness.proxy import fetch

#: Requests that a token is good for.
USES = 6

#: Authlib takes a secret in `Authorization: Basic` as it is, where RFC 6749 §2.3.1 encodes it: here both are the same.
ENVIRONMENT = {"CLIENT_SECRET": "s3cret-of_the.client"}

COLLECTION = """
[[collection]]
path = "/orders"
upstream = "api"
records = "data"
key = "id"
pagination = { type = "next_url", next = "next" }
"""


@pytest.fixture
def oauth():
    """Starts a server with these clients."""
    running: list[OAuth] = []

    def start(*clients: Client) -> OAuth:
        running.append(OAuth(list(clients), USES))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def client(method: str = "client_secret_basic", key: str = "", algorithm: str = "") -> Client:
    return Client("unpage-client", ENVIRONMENT["CLIENT_SECRET"], method, key, algorithm)


def config(server: OAuth, keys: str) -> str:
    return f'[upstream.api]\nurl = "{server.url}"\n\n[upstream.api.credentials.token]\nurl = "{server.url}/token"\n{keys}\n{COLLECTION}'


def whole(text: bytes) -> None:
    assert [json.loads(line)["id"] for line in text.splitlines()] == list(range(1, PAGES * RECORDS + 1))


def stream(url: str) -> requests.Response:
    return requests.get(f"{url}/orders", headers={"Accept": "application/x-ndjson"}, timeout=60)


CREDENTIALS = 'grant = "client_credentials"\nclient = {{ id = "unpage-client", secret = {{ env = "CLIENT_SECRET" }}, send = "{}" }}'


@pytest.mark.parametrize(("send", "method"), [("basic", "client_secret_basic"), ("body", "client_secret_post")])
def test_a_crawl_outlives_tokens_of_client_credentials(oauth, serve, send, method):
    server = oauth(client(method))
    # In the body every secret has one spelling.
    secret = ENVIRONMENT["CLIENT_SECRET"] + (" &+%/=é" if send == "body" else "")
    server.state.clients["unpage-client"].secret = secret
    proxy = serve(config=config(server, CREDENTIALS.format(send)), environment={"CLIENT_SECRET": secret})
    whole(stream(proxy.url).content)
    # Each token but the last is refused once.
    assert server.state.pages == list(range(1, PAGES + 1))
    assert len(server.state.grants) == -(-PAGES // USES)
    assert ENVIRONMENT["CLIENT_SECRET"] not in proxy.child.said()


def test_crawls_side_by_side_share_one_token(oauth, serve):
    server = oauth(client())
    server.state.uses = 1_000
    proxy = serve(config=config(server, CREDENTIALS.format("basic")), environment=ENVIRONMENT)
    with ThreadPoolExecutor(8) as pool:
        for text in pool.map(lambda number: requests.get(f"{proxy.url}/orders?n={number}&_format=ndjson", timeout=60).content, range(8)):
            whole(text)
    assert server.state.grants == ["client_credentials"]


def test_a_refresh_token_is_rotated_over_restarts(oauth, serve, tmp_path: Path):
    server = oauth(client())
    server.refresh_token("unpage-client", "first-refresh-token")
    keep = tmp_path / "refresh"
    keys = (
        'grant = "refresh_token"\nclient = { id = "unpage-client", secret = { env = "CLIENT_SECRET" } }\n'
        f'refresh_token = {{ env = "REFRESH" }}\nkeep = "{keep}"'
    )
    environment = {**ENVIRONMENT, "REFRESH": "first-refresh-token"}
    for _ in range(3):
        proxy = serve(config=config(server, keys) + "\n[snapshots]\ndisk = \"0\"\n", environment=environment)
        whole(stream(proxy.url).content)
        proxy.child.stop()
        assert all(token.refresh_token not in proxy.child.said() for token in server.state.tokens)
    assert set(server.state.grants) == {"refresh_token"}
    valid = [token.refresh_token for token in server.state.tokens if not token.revoked]
    assert len(valid) == 1 and valid[0] in keep.read_text()
    assert keep.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_signed_assertion_is_accepted(oauth, serve, tmp_path: Path, algorithm, form):
    key = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    server = oauth(client(key=public.decode(), algorithm=algorithm))
    keys = (
        f'grant = "jwt_bearer"\njwt = {{ key = {{ file = "{tmp_path}/key.pem" }}, algorithm = "{algorithm}", '
        'claims = { iss = "unpage-client", sub = "user" } }'
    )
    if (algorithm, form) == ("ES256", "TraditionalOpenSSL"):
        with pytest.raises(ChildProcessError, match="PKCS #8"):
            serve(config=config(server, keys))
        return
    proxy = serve(config=config(server, keys))
    whole(stream(proxy.url).content)
    assert set(server.state.grants) == {"urn:ietf:params:oauth:grant-type:jwt-bearer"}


def test_a_wrong_secret_breaks_a_fetch_with_the_servers_own_error(oauth, tmp_path: Path):
    server = oauth(client())
    file = tmp_path / "token.toml"
    file.write_text(f'[token]\nurl = "{server.url}/token"\n{CREDENTIALS.format("basic")}\n')
    arguments = [f"{server.url}/orders", "--token-config", str(file), "--records", "data", "--pagination", '{ type = "next_url", next = "next" }']
    done = fetch(*arguments, environment=ENVIRONMENT)
    assert done.status == 0, done.stderr
    whole(done.stdout)
    done = fetch(*arguments, environment={"CLIENT_SECRET": "another s3cret"})
    assert done.status != 0 and "invalid_client" in done.stderr and "fault: configuration" in done.stderr
    assert "s3cret" not in done.stderr
