from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from OpenSSL import SSL
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.sockets import Raw, Recorder
from tests.twisted_hygiene import _frozen_garbage, failures, reactor, until
from ttagw.listen import BACKLOG, ListenError, Listeners, endpoint_from

__all__ = ["_frozen_garbage", "failures"]


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def factory() -> Any:
    made = Factory.forProtocol(Recorder)
    made.noisy = False
    return made


def addresses(listeners: Listeners) -> list[int]:
    return [port.getHost().port for port, _ in listeners._ports]


@pytest_twisted.ensureDeferred
async def test_every_endpoint_is_listened_on_before_the_service_starts() -> None:
    one, two = factory(), factory()
    listeners = Listeners(reactor, [("tcp:0:interface=127.0.0.1", one), ("tcp:0:interface=127.0.0.1", two)])
    listeners.privilegedStartService()
    assert listeners.count == 2
    listeners.startService()
    raw = Raw(addresses(listeners)[0])
    await listeners.close(one)
    assert listeners.count == 1
    await listeners.stopService()
    assert listeners.count == 0
    raw.socket.close()


@pytest_twisted.ensureDeferred
async def test_a_busy_port_leaves_nothing_open_and_all_faults_are_named(busy: int, tmp_path: Path) -> None:
    free = tmp_path / "free.sock"
    wanted = [
        (f"unix:{free}", factory()),
        (f"tcp:{busy}:interface=127.0.0.1", factory()),
        (f"unix:{tmp_path}/missing/a.sock", factory()),
        (f"ssl:0:interface=127.0.0.1:privateKey={tmp_path}/no.pem", factory()),
        ("tcp:0:interface=127.0.0.1", factory()),
    ]
    listeners = Listeners(reactor, wanted)
    with pytest.raises(ListenError) as caught:
        listeners.privilegedStartService()
    lines = caught.value.args
    assert len(lines) == 3
    assert all("\n" not in line for line in lines)
    assert str(busy) in lines[[str(busy) in line for line in lines].index(True)]
    assert "Address already in use" in " ".join(lines)
    assert "no.pem" in " ".join(lines)
    assert listeners.count == 0
    await until(lambda: not free.exists())


@pytest.mark.parametrize("text", ["tcp:x", "nonsense:1", "tcp:0:interface=nowhere:odd=1", "tcp:0:privateKey=x"])
def test_what_is_no_endpoint_is_said(text: str) -> None:
    with pytest.raises(ListenError, match="not an endpoint"):
        endpoint_from(reactor, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tcp:0:odd=1", 'there is no option "odd"'),
        ("tcp", 'the option "port" is missing'),
        ("tcp:0:port=1", 'the option "port" is given twice'),
        ("systemd:INET:1:2:3:4:5:6", "there are more values than it has options"),
    ],
)
def test_what_is_wrong_with_its_options_is_said_plainly(text: str, sentence: str) -> None:
    with pytest.raises(ListenError) as caught:
        endpoint_from(reactor, text)
    assert str(caught.value) == f"{text}: not an endpoint that can be used: {sentence}"


def test_the_kernel_holds_many_connections_for_us() -> None:
    assert endpoint_from(reactor, "tcp:0")._backlog == BACKLOG  # type: ignore[attr-defined]
    assert endpoint_from(reactor, "tcp:0:127.0.0.1:50")._backlog == 50  # type: ignore[attr-defined]
    assert endpoint_from(reactor, "tcp:0:backlog=7")._backlog == 7  # type: ignore[attr-defined]


def test_a_key_that_is_missing_is_named_with_the_endpoint_as_it_was_written() -> None:
    with pytest.raises(ListenError, match=r"^ssl:0:privateKey=/nowhere/x\.pem: /nowhere/x\.pem: No such file"):
        endpoint_from(reactor, "ssl:0:privateKey=/nowhere/x.pem")


# Certificates of clients


class Closed:
    """A port that was listened on."""

    def stopListening(self) -> None:
        """Nothing was open."""


class RecordingReactor:
    """What is listened on, by the port's number: with TLS also by whom its connections are made."""

    def __init__(self) -> None:
        self.tls: dict[int, Any] = {}
        self.plain: list[int] = []

    def listenTCP(self, port: int, factory: Any, backlog: int, interface: str) -> object:
        self.plain.append(port)
        return Closed()

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, backlog: int, interface: str) -> object:
        assert (backlog, interface) == (BACKLOG, "127.0.0.1")
        self.tls[port] = contextFactory
        return Closed()


@pytest.fixture
def pem(tmp_path: Path) -> tuple[Path, Path]:
    """A server's certificate with its key, and an authority."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "server.pem", tmp_path / "ca.pem"


def test_only_those_who_want_to_know_ask_for_certificates(pem: tuple[Path, Path]) -> None:
    server, ca = pem
    site, admin, recorded = factory(), factory(), RecordingReactor()
    secure = f"ssl:%d:interface=127.0.0.1:privateKey={server}"
    wanted = [(secure % 1, site), (secure % 2, admin), ("tcp:3:interface=127.0.0.1", site), (secure % 4, site)]
    listeners = Listeners(recorded, wanted, None, {site: str(ca)})
    listeners.privilegedStartService()
    assert recorded.plain == [3]
    modes = {port: _mode(maker) for port, maker in recorded.tls.items()}
    asking = SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE
    assert modes == {1: asking, 2: SSL.VERIFY_NONE, 4: asking}
    without = RecordingReactor()
    Listeners(without, wanted).privilegedStartService()
    assert {_mode(maker) for maker in without.tls.values()} == {SSL.VERIFY_NONE}


def _mode(maker: Any) -> int:
    mode: int = _connection(maker).get_verify_mode()
    return mode


def _connection(maker: Any) -> SSL.Connection:
    connection: SSL.Connection = maker.serverConnectionForTLS(
        TLSMemoryBIOFactory(maker, False, factory()).buildProtocol(None)
    )
    return connection


def test_nobody_comes_in_with_a_session_of_before(pem: tuple[Path, Path]) -> None:
    server, ca = pem
    recorded: Any = RecordingReactor()
    endpoint_from(recorded, f"ssl:1:interface=127.0.0.1:privateKey={server}", str(ca)).listen(factory())
    assert _connection(recorded.tls[1]).get_context().get_session_cache_mode() == SSL.SESS_CACHE_OFF


def test_authorities_that_cannot_be_used_are_told_in_a_line(pem: tuple[Path, Path], tmp_path: Path) -> None:
    server, _ = pem
    site = factory()
    wanted = [(f"ssl:1:interface=127.0.0.1:privateKey={server}", site), ("tcp:2:interface=127.0.0.1", site)]
    listeners = Listeners(RecordingReactor(), wanted, None, {site: str(tmp_path / "none.pem")})
    with pytest.raises(ListenError) as caught:
        listeners.privilegedStartService()
    assert caught.value.args == (f"{tmp_path / 'none.pem'}: cannot be read: No such file or directory",)
