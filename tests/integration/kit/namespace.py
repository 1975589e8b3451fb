"""Tests that need a name server of their own: resolv.conf knows no port but 53, and belongs to the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.kit.process import program

NAME_SERVER = "127.0.0.53"
"""Where resolv.conf says that names are known; nobody listens there unless the test does."""

_INSIDE = "TTAGW_TEST_NAMESPACE"
_ENTER = 'ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"'
_PATIENCE = 120.0

Test = Callable[[Path], None]


def isolated(test: Test) -> Callable[..., None]:
    """Runs a test, which takes a folder, where it may use every port and resolv.conf is its own.

    It is run by a pytest of its own, in namespaces for users, mounts and network, which need no rights. Everything it
    starts is in there with it.
    """
    if _INSIDE in os.environ:

        def inside(tmp_path: Path) -> None:
            test(tmp_path)

        return inside

    def outside(request: pytest.FixtureRequest, tmp_path: Path) -> None:
        resolv = tmp_path / "resolv.conf"
        resolv.write_text(f"nameserver {NAME_SERVER}\n")
        folder = tmp_path / "inside"
        place = f"{request.path}::{request.node.name}"
        enter = [program("unshare"), "--map-root-user", "--mount", "--net", "sh", "-c", _ENTER, str(resolv)]
        run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}", place]
        ended = subprocess.run(
            [*enter, *run],
            cwd=request.config.rootpath,
            env={**os.environ, _INSIDE: "1", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "1 passed" in ended.stdout

    return outside


def resolv_conf() -> Path:
    """The resolv.conf of an isolated test, which may write it."""
    assert _INSIDE in os.environ
    return Path("/etc/resolv.conf")
