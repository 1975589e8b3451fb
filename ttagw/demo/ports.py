"""Ports of the demo: found free and held until the process that shall have them starts."""

from __future__ import annotations

import socket

ADDRESS = "127.0.0.1"
DOMAIN_PORTS = {
    "player-experience": 8080,
    "authentication": 8081,
    "core-gameplay": 8082,
    "agent-orchestration": 8503,
}
"""The port that each service has by custom."""


class BusyPortError(Exception):
    """Something else listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use")
        self.port = port


class HeldPort:
    """A port that nobody else gets until it is released."""

    def __init__(self, port: int) -> None:
        """Hold `port`, or a free one for 0.

        Raises BusyPortError when it is taken, PermissionError when it needs other rights.
        """
        self._socket = socket.socket()
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the listener will: TIME_WAIT is no owner
        try:
            self._socket.bind((ADDRESS, port))
        except PermissionError:
            self._socket.close()
            raise
        except OSError as fault:
            self._socket.close()
            raise BusyPortError(port) from fault
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Let go of the port; a second time does nothing."""
        self._socket.close()


def is_free(port: int) -> bool:
    """Tell whether `port` can be had now."""
    try:
        HeldPort(port).release()
    except (BusyPortError, PermissionError):
        return False
    return True
