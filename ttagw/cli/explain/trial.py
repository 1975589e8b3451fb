"""One request, taken through the same routes and layers as in the gateway, up to where a service would be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred, execute

from ttagw.auth.authenticator import Authenticator, NoTokens, TokenVerifier
from ttagw.auth.keys import Keys
from ttagw.auth.tokens import Tokens
from ttagw.cli.explain.keysets import KeySet, key_set
from ttagw.cli.explain.reading import Reading, read
from ttagw.config import Config, Route
from ttagw.config.auth import Auth
from ttagw.core.forwarded import Peer, Trust
from ttagw.core.identity import Identity
from ttagw.core.rbac import Roles
from ttagw.core.routing import Pattern, Table
from ttagw.errors import GatewayError, IdentityUnknownError
from ttagw.identities import asked, roles_of, terms
from ttagw.layers.authenticate import Authenticate
from ttagw.layers.authorise import Authorise
from ttagw.layers.fields import ChangeFields, FieldChanges
from ttagw.layers.vouch import Vouch
from ttagw.model import BodySource, Exchange, Fields, Reply
from ttagw.pipeline import Layer, Pipeline
from ttagw.pipeline import Route as BoundRoute
from ttagw.tree import Tree, refuse
from ttagw.web.head import read_head

PORT = 8000
"""What a service is told that the client has connected to."""

T = TypeVar("T")


def make_tokens(auth: Auth, roles: Roles) -> TokenVerifier:
    """What verifies tokens in the gateway. Nothing is revoked: that is in the store of the gateway that runs."""
    return Tokens(auth, roles, _good, None)


@dataclass(frozen=True, slots=True)
class Asking:
    """The request."""

    method: bytes
    target: bytes
    fields: Fields
    """All of them, Host and credentials too."""
    client: str = "127.0.0.1"


class Verifier:
    """Verifies one token as the gateway does, with the keys as they are now."""

    def __init__(self, auth: Auth, roles: Roles, folder: Path, *, offline: bool) -> None:
        self._auth = auth
        self._roles = roles
        self._folder = folder
        self._offline = offline
        self.reading: Reading | None = None
        """What the token says, once there was one."""
        self.keys: KeySet | None = None
        """The keys of its issuer, if that is one of ours."""

    def known(self, token: bytes) -> Identity | None:  # noqa: ARG002 - the shape of every verifier
        """Nobody: each token is looked at anew."""
        return None

    def verify(self, token: bytes) -> Identity | Deferred[Identity]:
        """Who has this token. Raises, or fails with, `TokenRefusedError` or `IdentityUnknownError`."""
        self.reading = read(token)
        name = self.reading.claims.get("iss")
        found = [each for each in self._auth.issuers if each.issuer == name]
        if found:
            self.keys = key_set(found[-1], self._folder, offline=self._offline)
            if self.keys.fault:
                raise IdentityUnknownError("keys_unavailable")
        return self._tokens(self.keys).verify(token)

    def _tokens(self, keys: KeySet | None) -> TokenVerifier:
        """With these keys and no others. Raises `IdentityUnknownError`."""
        issuers = () if keys is None else (keys.issuer,)
        try:
            return make_tokens(self._auth.model_copy(update={"issuers": issuers}), self._roles)
        except Exception:
            # Whatever is in there: with such keys the gateway would not start, or would know nobody by them.
            self.keys = keys and replace(keys, fault="none of its keys can be used")
            raise IdentityUnknownError("keys_unavailable") from None


class Trial:
    """What became of a request."""

    def __init__(self, config: Config, asking: Asking, folder: Path, *, offline: bool = False) -> None:
        """`folder` is for keys that are fetched. Raises `ConfigError` for a file of API keys that cannot be used."""
        self.config = config
        self.asking = asking
        self.roles = roles_of(config)
        self.verifier = Verifier(config.auth, self.roles, folder, offline=offline)
        self.error: GatewayError | None = None
        """What the gateway answers; None: a service does."""
        self.forwarded = False
        self.route: Route | None = None
        """The route that answers, if one does."""
        path = config.auth.api_keys.file
        self._keys = Keys(path, _here) if path else None
        self.exchange = self._exchange()

    def _exchange(self) -> Exchange:
        trust = Trust(self.config.gateway.trusted_proxies)
        peer = Peer(self.asking.client, trust, b"http", PORT)
        return Exchange(peer, _Sink(), self.asking.method, 0.0)

    def run(self) -> Trial:
        """Take it through."""
        exchange = self.exchange
        pipeline = Pipeline(self._render)
        exchange.route = nowhere = BoundRoute("-", "-", refuse, max_body=0)
        trust = Trust(self.config.gateway.trusted_proxies)
        try:
            read_head(exchange, self.asking.target, list(self.asking.fields), trust)
        except GatewayError as error:
            pipeline.fail(exchange, error)
            return self
        self._tree(nowhere).locate(exchange)
        self.route = next((each for each in self.config.routes if each.name == exchange.route.name), None)
        pipeline.run(exchange)
        if not self.forwarded and self.error is None:
            # Something waits, and nobody is here for it to wait for.
            pipeline.fail(exchange, IdentityUnknownError("not_in_time"))
        return self

    def _tree(self, nowhere: BoundRoute) -> Tree:
        layers = self._layers()
        asterisk = BoundRoute("*", "*", self._forward, max_body=0)
        table = Table(
            [
                (
                    Pattern(each.path, each.hosts, each.methods, each.headers),
                    BoundRoute(each.name, each.path, self._forward, max_body=0).bind(layers),
                )
                for each in self.config.routes
            ]
        )
        return Tree(table, nowhere, asterisk, conditional=True)

    def _layers(self) -> list[Layer]:
        """Those that say who may, and what a service is told."""
        config = self.config
        tokens: TokenVerifier = self.verifier if config.auth.issuers else NoTokens()
        return [
            Authenticate(asked(config), Authenticator(tokens, self._keys, self.roles, _good)),
            Authorise(terms(config), _NobodyElse()),
            Vouch(config.auth.forward_token, config.auth.query_token),
            ChangeFields({each.name: FieldChanges(each.set_request_headers) for each in config.routes}),
        ]

    def _forward(self, pipeline: Pipeline, exchange: Exchange) -> None:  # noqa: ARG002 - the shape of innermost steps
        self.forwarded = True

    def _render(self, exchange: Exchange, error: GatewayError) -> Reply:  # noqa: ARG002 - the shape of rendering
        self.error = error
        return Reply(error.status, [], b"")


class _Sink:
    """A client that is not there."""

    started = False

    def start(self, reply: Reply, source: BodySource | None) -> None:
        """It would get an answer."""

    def write(self, data: bytes) -> None:
        """It would get more."""

    def nothing(self) -> None:
        """Nothing is under way."""

    flush = finish = abort = go_on = nothing


class _NobodyElse:
    """Care services are not asked and no glass is broken just to explain: nobody but those of whom a token says so."""

    def may(self, exchange: Exchange, identity: Identity, person: str) -> bool:  # noqa: ARG002 - as every access
        return False


def _good(identity: Identity) -> None:
    """Nobody is revoked here."""


def _here(check: Callable[[], T]) -> Deferred[T]:
    """At once, and not in a thread: nobody else is kept waiting."""
    return execute(check)
