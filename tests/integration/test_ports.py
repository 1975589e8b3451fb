"""The ports that the tests give to programs: nobody else may come to be there."""

from __future__ import annotations

import socket

import pytest

from tests.integration.kit.process import free_port


def test_a_port_is_given_to_nobody_else_and_a_server_can_listen_there() -> None:
    port = free_port()
    with socket.socket() as another, pytest.raises(OSError, match="in use"):
        another.bind(("127.0.0.1", port))
    for _ in range(2):
        with (
            socket.create_server(("127.0.0.1", port)) as server,
            socket.create_connection(("127.0.0.1", port)),
        ):
            server.accept()[0].close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
