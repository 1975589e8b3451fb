from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from typing import Any

import pytest
import pytest_twisted
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from hypothesis import given
from hypothesis import strategies as st

from tests.registry.served import Checking, Entropy, Service, serving
from tests.sockets import listening
from tests.twisted_hygiene import until
from ttagw.registry.probes.websocket import MAX_FRAMES, WebSocketTalk


def talk() -> WebSocketTalk:
    return WebSocketTalk("/socket", "up.test:80", "agent", Entropy())


def accept(opening: bytes) -> bytes:
    """What proves that the request was understood."""
    key = opening.partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
    return b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def upgraded(opening: bytes, *more: bytes, status: bytes = b"101 Switching Protocols", **fields: bytes) -> bytes:
    """The answer to a handshake; fields are changed by name, and left out when empty."""
    values = {"upgrade": b"websocket", "connection": b"Upgrade", "sec_websocket_accept": accept(opening), **fields}
    named = [name.replace("_", "-").encode() + b": " + value for name, value in values.items() if value]
    return b"\r\n".join([b"HTTP/1.1 " + status, *named, *more, b"", b""])


def unmasked(frame: bytes) -> tuple[int, bytes, bytes]:
    """First byte, payload and what follows of a frame as a client must send it: masked."""
    length = frame[1] - 0x80
    assert 0 <= length < 126
    mask, payload = frame[2:6], frame[6 : 6 + length]
    return frame[0], bytes([byte ^ mask[place % 4] for place, byte in enumerate(payload)]), frame[6 + length :]


def pinged() -> tuple[WebSocketTalk, bytes]:
    """One that waits for its pong, and the payload of that."""
    said = talk()
    first, payload, rest = unmasked(said.read(upgraded(said.opening)))
    assert (first, rest, said.result, said.late) == (0x89, b"", None, "no_pong")
    return said, payload


def pong(payload: bytes) -> bytes:
    return bytes((0x8A, len(payload))) + payload


def test_the_handshake_of_rfc_6455() -> None:
    lines = talk().opening.split(b"\r\n")
    assert lines[0] == b"GET /socket HTTP/1.1"
    assert lines[-2:] == [b"", b""]
    assert set(lines[1:-2]) == {
        b"host: up.test:80",
        b"user-agent: agent",
        b"upgrade: websocket",
        b"connection: Upgrade",
        b"sec-websocket-version: 13",
        b"sec-websocket-key: " + b64encode(Entropy()(32)[:16]),
    }
    assert talk().late == "timeout"


def test_the_example_of_rfc_6455() -> None:
    key = b"the sample nonce"
    said = WebSocketTalk("/", "h", "a", lambda size: key[:size])
    assert b"\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n" in said.opening
    assert said.read(upgraded(said.opening, sec_websocket_accept=b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    assert said.result is None


def test_a_ping_a_pong_and_a_goodbye() -> None:
    said, payload = pinged()
    assert len(payload) == 8
    assert unmasked(said.read(pong(payload))) == (0x88, b"\x03\xe8", b"")
    assert said.result == ""


def test_keys_payloads_and_masks_are_not_used_again() -> None:
    entropy = Entropy()
    one, two = (WebSocketTalk("/", "h", "a", entropy) for _ in range(2))
    assert one.opening != two.opening
    pings = [each.read(upgraded(each.opening)) for each in (one, two)]
    assert unmasked(pings[0])[1] != unmasked(pings[1])[1]
    closes = [each.read(pong(unmasked(ping)[1])) for each, ping in zip((one, two), pings, strict=True)]
    assert len({frame[2:6] for frame in pings + closes}) == 4


@pytest.mark.parametrize(
    ("change", "more", "reason"),
    [
        ({"status": b"200 OK"}, (), "status_200"),
        ({"status": b"426 Upgrade Required"}, (), "status_426"),
        ({"sec_websocket_accept": b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, (), "bad_handshake"),
        ({"sec_websocket_accept": b""}, (), "bad_handshake"),
        ({"upgrade": b"h2c"}, (), "bad_handshake"),
        ({"upgrade": b"websocket, h2c"}, (), "bad_handshake"),
        ({}, (b"sec-websocket-extensions: permessage-deflate",), "bad_handshake"),
        ({}, (b"sec-websocket-protocol: chat",), "bad_handshake"),
        ({"connection": b"close"}, (), "bad_handshake"),
        ({"upgrade": b""}, (), "bad_handshake"),
        ({"upgrade": b"WebSocket", "connection": b"keep-alive, upgrade"}, (), None),
    ],
)
def test_what_the_answer_to_the_handshake_means(
    change: dict[str, bytes], more: tuple[bytes, ...], reason: str | None
) -> None:
    said = talk()
    answer = said.read(upgraded(said.opening, *more, **change))
    assert said.result == reason
    assert bool(answer) == (reason is None)


def test_http_1_0_has_no_websockets() -> None:
    said = talk()
    said.read(upgraded(said.opening).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert said.result == "bad_handshake"


SKIPPED = {
    "text": b"\x81\x05hello",
    "empty": b"\x82\x00",
    "pieces": b"\x01\x02he\x00\x01l\x80\x02lo",
    "medium": b"\x82\x7e\x01\x00" + b"\x8a" * 256,
    "long": b"\x82\x7f" + (70_000).to_bytes(8, "big") + b"\x88" * 70_000,
    "ping": b"\x89\x02hi",
    "other pong": b"\x8a\x08" + b"x" * 8,
    "empty pong": b"\x8a\x00",
}


@pytest.mark.parametrize("before", SKIPPED.values(), ids=SKIPPED)
@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_what_comes_before_the_pong_does_not_matter(before: bytes, size: int) -> None:
    said, payload = pinged()
    data = before + pong(payload)
    for place in range(0, len(data), size):
        assert said.result is None
        answer = said.read(data[place : place + size])
    assert said.result == ""
    assert unmasked(answer)[0] == 0x88


def test_a_greeting_in_the_same_read_as_the_handshake() -> None:
    said = talk()
    _, payload, rest = unmasked(said.read(upgraded(said.opening) + b"\x81\x05hel"))
    assert (rest, said.result) == (b"", None)
    said.read(b"lo" + pong(payload))
    assert said.result == ""


def test_a_handshake_byte_by_byte() -> None:
    said = talk()
    answers = [said.read(bytes([byte])) for byte in upgraded(said.opening)]
    assert [bool(each) for each in answers] == [False] * (len(answers) - 1) + [True]


@pytest.mark.parametrize(
    "frame",
    [
        b"\x83\x00",  # unknown kinds
        b"\x8b\x00",
        b"\xc1\x00",  # reserved bits
        b"\x91\x00",
        b"\x81\x85mask",  # masked by a server
        b"\x09\x00",  # a control frame in pieces
        b"\x8a\x7e\x01\x00",  # a long one
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_what_is_no_frame(frame: bytes) -> None:
    said, _ = pinged()
    assert said.read(frame) == b""
    assert said.result == "bad_answer"


def test_a_goodbye_instead_of_a_pong() -> None:
    said, _ = pinged()
    said.read(b"\x88\x02\x03\xe9")
    assert said.result == "closed"


@pytest.mark.parametrize("frame", [b"\x82\x00", b"\x82\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * 100])
def test_nobody_can_talk_for_ever(frame: bytes) -> None:
    said, _ = pinged()
    sent = 0
    while said.result is None:
        said.read(frame * 100)
        sent += 100 * len(frame)
        assert sent < 2 * MAX_FRAMES
        assert len(said._buffer) < 256
    assert said.result == "bad_answer"


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=8), st.booleans())
def test_no_bytes_raise_anything(pieces: list[bytes], open_first: bool) -> None:
    said = pinged()[0] if open_first else talk()
    for piece in pieces:
        if said.result is None:
            said.read(piece)
    assert said.result in (None, "bad_answer", "closed") or said.result.startswith("status_")


class Pinged(WebSocketServerProtocol):  # type: ignore[misc]
    """Notes what Autobahn makes of the client."""

    def onPing(self, payload: bytes) -> None:
        self.factory.seen.append(("ping", len(payload)))
        super().onPing(payload)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.factory.seen.append(("close", self.remoteCloseCode))


@pytest_twisted.ensureDeferred
async def test_autobahn_is_content() -> None:
    factory: Any = WebSocketServerFactory()
    factory.protocol, factory.noisy, factory.seen = Pinged, False, []
    with listening(factory) as port:
        assert await Checking().reason(f"http://127.0.0.1:{port}", type="websocket") == ""
        await until(lambda: len(factory.seen) == 2)
    assert factory.seen == [("ping", 8), ("close", 1000)]


@pytest.mark.parametrize(("answers", "reason"), [(False, "timeout"), (True, "no_pong")])
@pytest_twisted.ensureDeferred
async def test_one_that_does_not_go_on(answers: bool, reason: str) -> None:
    def act(talk: Any) -> None:
        if answers and talk.data.endswith(b"\r\n\r\n"):
            talk.transport.write(upgraded(talk.data))

    service = Service(act)
    with serving(service) as url:
        checking = Checking()
        _, found = checking.begin(url, type="websocket", path="/socket")
        await until(lambda: service.talks and (b"\r\n\r\n\x89" if answers else b"\r\n\r\n") in service.talks[0].data)
        checking.pass_time(1.8)
        assert not found
        checking.pass_time(0.4)
        assert [each.reason for each in found] == [reason]
        await until(lambda: service.all_ended)


@pytest_twisted.ensureDeferred
async def test_one_that_closes_after_the_handshake() -> None:
    def act(talk: Any) -> None:
        talk.transport.write(upgraded(talk.data))
        talk.transport.loseConnection()

    service = Service(act)
    with serving(service) as url:
        assert await Checking().reason(url, type="websocket") == "closed"
        await until(lambda: service.all_ended)
