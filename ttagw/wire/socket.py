"""Looking at a socket without reading from it or writing to it."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable
from functools import partial
from typing import Any

_INT = struct.Struct("i")
_ZERO = _INT.pack(0)


def _socket_of(transport: Any) -> socket.socket | None:
    """The socket of a transport, for TLS the one below; None where there is none."""
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket):
        below = getattr(transport, "transport", None)
        handle = None if below is None else below.getHandle()
    return handle if isinstance(handle, socket.socket) else None


def listening(transport: Any) -> Callable[[], object]:
    """What tells, by anything true, whether the other side has closed or has sent something that has not been read.

    To be asked only while the transport is connected. Over TLS anything counts, a goodbye too. Where there is no socket
    nothing is ever heard.
    """
    handle = _socket_of(transport)
    if handle is None:
        return bool
    # Made once: a poll costs a third of a look with `recv`, which raises whenever there is nothing.
    poller = select.poll()
    poller.register(handle, select.POLLIN | select.POLLRDHUP)
    return partial(poller.poll, 0)


def unacknowledged(transport: Any) -> int:
    """How many bytes the kernel holds that the other side has not acknowledged (`SIOCOUTQ`, see tcp(7) and unix(7)).

    0 where there is no socket or the system cannot tell. For TLS it is asked about the socket below.
    """
    handle = _socket_of(transport)
    if handle is None:
        return 0
    try:
        answer = fcntl.ioctl(handle, termios.TIOCOUTQ, _ZERO)
    except (OSError, ValueError):
        return 0
    return int(_INT.unpack(answer)[0])
