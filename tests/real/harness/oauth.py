"""An OAuth 2.0 server by Authlib, with a paginated resource whose tokens end after so many requests."""

import os
import threading
from dataclasses import dataclass, field

# Authlib refuses plain HTTP otherwise.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector  # noqa: E402
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants  # noqa: E402
from authlib.oauth2.rfc6750 import BearerTokenValidator  # noqa: E402
from authlib.oauth2.rfc7523 import JWTBearerGrant  # noqa: E402
from flask import Flask, jsonify, request  # noqa: E402
from joserfc.jwk import ECKey, RSAKey  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

PAGES = 20
RECORDS = 50


@dataclass
class Client(ClientMixin):
    client_id: str
    secret: str
    method: str
    #: Public key in PEM, of assertions, and their algorithm.
    key: str = ""
    algorithm: str = ""

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return ""

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_redirect_uri(self, redirect_uri):
        return False

    def check_client_secret(self, client_secret):
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method == self.method

    def check_response_type(self, response_type):
        return False

    def check_grant_type(self, grant_type):
        return True


@dataclass
class Token(TokenMixin):
    access_token: str
    refresh_token: str | None
    client: Client
    uses: int
    revoked: bool = False

    def check_client(self, client):
        return client is self.client

    def get_scope(self):
        return ""

    def get_expires_in(self):
        return 0

    def is_expired(self):
        return self.uses <= 0

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return "user"

    def get_client(self):
        return self.client


@dataclass
class State:
    clients: dict[str, Client]
    #: Number of requests that a token is good for.
    uses: int
    #: URL of the endpoint, for which assertions are made.
    audience: str = ""
    tokens: list[Token] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class OAuth:
    """A running server at `url`."""

    def __init__(self, clients: list[Client], uses: int):
        self.state = State({client.client_id: client for client in clients}, uses)
        self.server = make_server("127.0.0.1", 0, app(self.state), threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.state.audience = f"{self.url}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refresh_token(self, client_id: str, token: str) -> str:
        """Grants a refresh token, as a user does in a browser."""
        self.state.tokens.append(Token("", token, self.state.clients[client_id], 0))
        return token

    def stop(self):
        self.server.shutdown()


def app(state: State) -> Flask:
    flask = Flask(__name__)
    flask.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True

    def save(token, request):
        state.tokens.append(Token(token["access_token"], token.get("refresh_token"), request.client, state.uses))

    server = AuthorizationServer(flask, query_client=state.clients.get, save_token=save)

    class ClientCredentials(grants.ClientCredentialsGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    class Refresh(grants.RefreshTokenGrant):
        INCLUDE_NEW_REFRESH_TOKEN = True
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

        def authenticate_refresh_token(self, refresh_token):
            known = [token for token in state.tokens if token.refresh_token == refresh_token and not token.revoked]
            return known[0] if known else None

        def authenticate_user(self, refresh_token):
            return "user"

        def revoke_old_credential(self, refresh_token):
            refresh_token.revoked = True

    class Assertion(JWTBearerGrant):
        def get_audiences(self):
            return [state.audience]

        def resolve_issuer_client(self, issuer):
            return state.clients[issuer]

        def resolve_client_public_key(self, client):
            return (RSAKey if client.algorithm == "RS256" else ECKey).import_key(client.key)

        def authenticate_user(self, subject):
            return subject

        def has_granted_permission(self, client, user):
            return True

    for grant in [ClientCredentials, Refresh, Assertion]:
        server.register_grant(grant)

    class Validator(BearerTokenValidator):
        def authenticate_token(self, token_string):
            with state.lock:
                known = [token for token in state.tokens if token.access_token == token_string]
                for token in known:
                    token.uses -= 1
            return known[0] if known and known[0].uses >= 0 else None

        def validate_token(self, token, scopes, request, **kwargs):
            if token is None:
                super().validate_token(token, scopes, request, **kwargs)

    protect = ResourceProtector()
    protect.register_token_validator(Validator())

    @flask.post("/token")
    def issue():
        state.grants.append(request.form.get("grant_type", ""))
        return server.create_token_response()

    @flask.get("/orders")
    @protect()
    def orders():
        page = int(request.args.get("page", 1))
        state.pages.append(page)
        following = f"/orders?page={page + 1}" if page < PAGES else None
        return jsonify(data=[{"id": (page - 1) * RECORDS + at} for at in range(1, RECORDS + 1)], next=following)

    return flask
