from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.protocol import Factory

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
