"""Fetches a document of an issuer: from the URL that is configured and from nowhere else, and not more than is good."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

TIMEOUT = 5.0
"""Seconds for all of it."""
MOST_RECEIVED = 512 * 1024
"""Bytes of a whole answer, with head and framing: Twisted takes heads of any size."""

Fetch = Callable[[str], Coroutine[Any, Any, bytes]]
"""Fetches what is at a URL. Raises `FetchError`, or anything else when there is no connection."""


class FetchError(Exception):
    """What came is not what was asked for; the message is a fixed token."""


def fetching(reactor: Any, most: int) -> Fetch:
    """Fetches over the network: a connection for each, no redirects, no cookies, no more than `most` bytes."""
    policy = BrowserLikePolicyForHTTPS()

    async def fetch(url: str) -> bytes:
        connections = _Connections(reactor, policy)
        pool = HTTPConnectionPool(reactor, persistent=False)
        agent = _Plain(Agent.usingEndpointFactory(reactor, connections, pool))
        fields = Headers({"Accept": ["application/json"], "User-Agent": ["ttagw"]})
        try:
            response = await HTTPClient(agent).get(
                url, headers=fields, allow_redirects=False, unbuffered=True, reactor=reactor
            )
            if response.code != 200:
                raise FetchError(f"status_{response.code}")
            return await _body(response, most)
        except CancelledError:
            raise
        except Exception as error:
            if connections.exceeded:
                raise FetchError("too_large") from None
            # What was cancelled fails with whatever had become of it.
            if any(each.check(CancelledError) for each in getattr(error, "reasons", ())):
                raise CancelledError from None
            raise
        finally:
            connections.abort()

    return fetch


async def _body(response: Any, most: int) -> bytes:
    reading = _Reading(most)
    response.deliverBody(reading)
    return await reading.done


class _Reading(Protocol):
    """Takes a body up to a size."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Another piece of the body."""
        self._data += data
        if len(self._data) > self._most and not self.done.called:
            self.done.errback(FetchError("too_large"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body ends."""
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(bytes(self._data))
        else:
            self.done.errback(FetchError("cut_off"))


@implementer(IAgent)
class _Plain:
    """Asks for no coding, and takes none: a few bytes could become very many."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803 - Twisted's name
    ) -> Deferred[IResponse]:
        """As the agent inside."""
        fields = Headers() if headers is None else headers.copy()
        fields.setRawHeaders(b"accept-encoding", [b"identity"])
        return self._agent.request(method, uri, fields, bodyProducer).addCallback(_without_coding)


def _without_coding(response: IResponse) -> IResponse:
    codings = response.headers.getRawHeaders(b"content-encoding", [])
    if any(each.strip().lower() not in (b"", b"identity") for each in codings):
        raise FetchError("encoded")
    return response


class _Counted(ProtocolWrapper):
    """A connection that ends when too much has come."""

    def __init__(self, factory: Any, wrapped: Any, connections: _Connections) -> None:
        super().__init__(factory, wrapped)
        self._connections = connections
        self._left = MOST_RECEIVED

    def dataReceived(self, data: bytes) -> None:
        """Another piece of the answer."""
        self._left -= len(data)
        if self._left < 0:
            self._connections.exceeded = True
            self.abortConnection()
        else:
            super().dataReceived(data)


@implementer(IAgentEndpointFactory)
class _Connections:
    """The connections of one fetch."""

    def __init__(self, reactor: Any, policy: BrowserLikePolicyForHTTPS) -> None:
        self._reactor = reactor
        self._policy = policy
        self._open: list[_Counted] = []
        self.exceeded = False
        """Whether one of them had too much to say."""

    def endpointForURI(self, uri: Any) -> IStreamClientEndpoint:
        """Where to connect to."""
        endpoint: Any = HostnameEndpoint(self._reactor, uri.host, uri.port, timeout=TIMEOUT)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return _Endpoint(endpoint, self._wrapped)

    def _wrapped(self, factory: Any, wrapped: Any) -> _Counted:
        self._open.append(_Counted(factory, wrapped, self))
        return self._open[-1]

    def abort(self) -> None:
        """Leave nothing open: somebody who says nothing would keep a connection for ever."""
        for each in self._open:
            if each.connected:
                each.abortConnection()


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, endpoint: IStreamClientEndpoint, wrap: Callable[[Any, Any], _Counted]) -> None:
        self._endpoint = endpoint
        self._wrap = wrap

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 - Twisted's name
        factory = WrappingFactory(protocolFactory)
        factory.protocol = self._wrap
        factory.noisy = False
        return self._endpoint.connect(factory).addCallback(_inner)


def _inner(wrapper: Any) -> IProtocol:
    wrapped: IProtocol = wrapper.wrappedProtocol
    return wrapped
