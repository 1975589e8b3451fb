"""Ports found and held."""

from __future__ import annotations

import socket

import pytest

from ttagw.demo.ports import BusyPortError, HeldPort, is_free


def test_zero_gives_a_port_that_can_be_listened_on_after_release() -> None:
    held = HeldPort(0)
    held.release()
    with socket.create_server(("127.0.0.1", held.number)) as listener:
        assert listener.getsockname()[1] == held.number


def test_a_port_with_a_listener_is_busy_and_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(BusyPortError, match=str(port)):
            HeldPort(port)
    assert is_free(port)


def test_a_released_port_may_be_released_again() -> None:
    held = HeldPort(0)
    held.release()
    held.release()
    assert is_free(held.number)
