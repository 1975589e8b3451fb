"""Answers out of bytes: llhttp does the parsing, this decides what is an answer at all.

A service can be broken or hostile. Its head is at most 64 KiB and 200 fields, the status line is strict, lengths must
not conflict, at most ten 1xx come before the answer, and a 101 nobody asked for is refused. What follows an answer
makes the connection `dirty`, and never reaches anybody.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from twisted.logger import Logger
from twisted.python.failure import Failure

from ttagw.core.headers import CONNECTION, RESPONSES, Plan, connection_options, without
from ttagw.errors import UpstreamBrokenError
from ttagw.model import UNKNOWN, Fields, Reply
from ttagw.upstream.known import AnswerMemory

MAX_HEAD = 64 * 1024
"""Bytes of a head; and of a chunked body's framing and trailers while no data comes."""
MAX_FIELDS = 200
MAX_INTERIM = 10

_NO_FIELDS: Fields = []
_USUAL_OPTIONS = (b"keep-alive", b"close")


class Phase:
    """Where the answer is. Plain integers: compared for every read."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    DONE = 3


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """Stops llhttp from inside a callback."""


class AnswerReader:
    """What comes from one connection to a service, answer by answer."""

    log = Logger()

    __slots__ = (
        "_head_bytes",
        "_head_request",
        "_http11",
        "_interim",
        "_memory",
        "_parsed",
        "_parser",
        "_raw",
        "_silent",
        "chunks",
        "dirty",
        "keep",
        "phase",
        "reply",
        "until_close",
    )

    def __init__(self) -> None:
        self._raw: Fields = []
        self._parsed = _NO_FIELDS
        self._memory = AnswerMemory()
        self._head_request = self._http11 = False
        self._head_bytes = self._interim = self._silent = 0
        self._parser = HttpResponseParser(self)
        self.phase = Phase.IDLE
        self.reply: Reply | None = None
        """The head, until somebody takes it."""
        self.chunks: list[bytes] = []
        """The body so far, until somebody takes it."""
        self.keep = False
        """Whether the service keeps the connection open after this answer."""
        self.until_close = False
        """Whether the body ends with the connection."""
        self.dirty = False
        """Whether something came that nobody asked for."""

    @property
    def untouched(self) -> bool:
        """Whether nothing of the answer has come yet."""
        return self.phase == Phase.HEAD and not self._head_bytes

    def expect(self, method: bytes) -> None:
        """The next answer is to a request with this method."""
        self.phase = Phase.HEAD
        self._head_bytes = self._interim = self._silent = 0
        self._head_request = method == b"HEAD"

    def end(self) -> None:
        """Nothing more is expected."""
        self.phase = Phase.IDLE
        self.reply = None
        self.chunks = []
        self._parsed = _NO_FIELDS
        if self._head_request:
            # llhttp cannot be told that an answer to HEAD has no body, so it waits for one.
            self._parser = HttpResponseParser(self)
            self._head_request = False

    def read_as_before(self, data: bytes) -> Reply | None:
        """The answer, if its head is like the one before and all of it is here: that needs no parser."""
        memory = self._memory
        known = memory.known
        if known is None or self._head_bytes or self.phase != Phase.HEAD or self._head_request:
            return None
        reply = known.read(data)
        if reply is not None:
            memory.pause = 0
        elif not known.begins(data):
            memory.miss()
        return reply

    def remember(self, reply: Reply, data: bytes) -> None:
        """Recognise the next head by this one, where one read held exactly one counted answer."""
        memory = self._memory
        if memory.known is not None:
            return
        if memory.wait:
            memory.wait -= 1
            return
        body = len(reply.body or b"")
        head = b""
        if self.keep and not self.dirty and body and reply.length == body and self._head_bytes == len(data):
            head = data[: len(data) - body]
            # llhttp passes over empty lines after an answer, so this one may not end where the read does.
            if head.find(b"\r\n\r\n") != len(head) - 4:
                head = b""
        memory.learn(head, self._parsed, reply, body)

    def feed(self, data: bytes) -> None:
        """The service has sent `data`. Raises `UpstreamBrokenError` for what is not one answer."""
        in_head = self.phase == Phase.HEAD
        if in_head:
            if not self._head_bytes:
                self._begin(data)
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._stopped(error)
        except HttpParserUpgrade:
            raise UpstreamBrokenError("unasked_upgrade") from None
        if self.phase == Phase.HEAD and self._head_bytes >= MAX_HEAD:
            raise UpstreamBrokenError("head_too_large")
        if self.phase == Phase.BODY and not self.chunks and not in_head:
            self._silent += len(data)
            if self._silent > MAX_HEAD:
                raise UpstreamBrokenError("bad_body")

    def _begin(self, data: bytes) -> None:
        self._http11 = data.startswith(b"HTTP/1.1 ")
        if not self._http11 and data.lstrip(b"\r\n")[:1] not in (b"H", b""):
            # llhttp would take RTSP and ICE as well.
            raise UpstreamBrokenError("bad_version")

    def _stopped(self, error: HttpParserError) -> None:
        """llhttp, or a check of ours inside a callback, refused what came."""
        if self.phase == Phase.DONE:
            self.dirty = True
            return
        cause = error.__context__
        if isinstance(cause, _Refused):
            reason = cause.args[0]
        elif cause is not None:
            self.log.failure("an answer could not be read", failure=Failure(cause))
            reason = "internal"
        else:
            reason = "bad_head" if self.phase == Phase.HEAD else "bad_body"
        raise UpstreamBrokenError(reason) from None

    # As what llhttp calls

    def on_message_begin(self) -> None:
        """An answer begins; a second one was not asked for."""
        if self.phase != Phase.HEAD:
            self.dirty = True

    def on_status(self, phrase: bytes) -> None:
        """The reason phrase, or a piece of it. Clients get one of ours."""
        if b"\0" in phrase:
            raise _Refused("bad_status")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; trailers are dropped."""
        if self.phase == Phase.HEAD:
            self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete."""
        if self.phase != Phase.HEAD:
            self.dirty = True
            return
        status = self._parser.get_status_code()
        self._parsed = raw = self._raw
        self._raw = []
        if status < 200:
            self._skip_interim(status)
            return
        self.reply = self._read_head(status, raw)
        self.phase = Phase.DONE if self._head_request else Phase.BODY

    def _skip_interim(self, status: int) -> None:
        self._interim += 1
        self._head_bytes = 1
        self._http11 = False
        if status < 100:
            raise _Refused("bad_status")
        if status == 101:
            raise _Refused("unasked_upgrade")
        if self._interim > MAX_INTERIM:
            raise _Refused("too_many_interim")

    def _read_head(self, status: int, raw: Fields) -> Reply:
        """The answer's head as it goes on: end-to-end fields in their order, and how long the body is."""
        if status > 599:
            raise _Refused("bad_status")
        if len(raw) > MAX_FIELDS:
            raise _Refused("too_many_fields")
        if self._head_bytes > MAX_HEAD and sum([len(name) + len(value) + 4 for name, value in raw]) > MAX_HEAD:
            raise _Refused("head_too_large")
        parser = self._parser
        if not self._http11 and parser.get_http_version() not in ("1.1", "1.0"):
            raise _Refused("bad_version")
        plan = RESPONSES.of(raw)
        fields = plan.keep(raw)
        length = UNKNOWN
        if plan.coding != -1:
            self._check_coding(raw, plan)
        elif plan.length >= 0:
            length = _content_length(raw[plan.length][1])
        elif plan.length != -1:
            raise _Refused("bad_content_length")
        self.until_close = length == UNKNOWN and plan.coding == -1
        self.keep = parser.should_keep_alive()
        if plan.connection != -1 and (plan.connection < 0 or raw[plan.connection][1] not in _USUAL_OPTIONS):
            fields = _without_options(fields, raw, plan)
        return Reply(status, fields, None, length)

    def _check_coding(self, raw: Fields, plan: Plan) -> None:
        """Exactly one `chunked`, in HTTP/1.1, and no Content-Length beside it (RFC 9112 §6.1)."""
        once = plan.coding >= 0 and plan.length == -1
        if not once or raw[plan.coding][1].strip(b" \t").lower() != b"chunked":
            raise _Refused("bad_transfer_encoding")
        if self._parser.get_http_version() == "1.0":
            raise _Refused("bad_transfer_encoding")

    def on_body(self, data: bytes) -> None:
        """More of the answer's body."""
        if self.phase == Phase.BODY:
            self.chunks.append(data)
            self._silent = 0
        else:
            self.dirty = True

    def on_message_complete(self) -> None:
        """The answer (or an interim one) is complete."""
        if self.phase == Phase.BODY:
            self.phase = Phase.DONE


def _without_options(fields: Fields, raw: Fields, plan: Plan) -> Fields:
    """The fields without those that a `Connection` field names."""
    values = [raw[place][1] for kind, place in plan.special if kind == CONNECTION]
    named = connection_options(values) - {b"close", b"keep-alive"}
    return without(fields, named) if named else fields


def _content_length(value: bytes) -> int:
    text = value.strip(b" \t")
    if not text.isdigit() or len(text) > 15:
        raise _Refused("bad_content_length")
    return int(text)
