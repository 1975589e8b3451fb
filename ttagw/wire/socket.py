"""Looking at a socket without reading from it."""

from __future__ import annotations

import socket
from typing import Any


def is_quiet(transport: Any) -> bool:
    """Whether the other side has neither closed nor sent anything. Over TLS nobody can tell: it is taken to be so."""
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket):
        return True
    try:
        handle.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
