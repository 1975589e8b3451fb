"""Which versions of everything were measured."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata

from cryptography.hazmat.backends.openssl.backend import backend

from benchmarks.peers import envoy_binary

DISTRIBUTIONS = ("ttagw", "twisted", "pyjwt", "cryptography")
PROGRAMS: Mapping[str, tuple[Sequence[str], str]] = {
    "haproxy": (("haproxy", "-vv"), r"HAProxy version (\S+)(?s:.*)Running on OpenSSL version : (OpenSSL \S+)"),
    "envoy": ((envoy_binary(), "--version"), r"version: [0-9a-f]+/([^/\s]+)/[^/\s]+/[^/\s]+/(\w+)"),
    "nginx": (("nginx", "-v"), r"nginx/(\S+)"),
    "wrk": (("wrk", "-v"), r"wrk (\S+)"),
}
"""How each is asked for its version, and where in its answer that is: its own first, then that of what it verifies
signatures with."""


def found_in(answer: str, pattern: str) -> str:
    """The version in what a program says, "unknown" if it is not there."""
    match = re.search(pattern, answer)
    return " with ".join(match.groups()) if match else "unknown"


def versions() -> dict[str, str]:
    """The versions of our own libraries, and of the programs that are installed."""
    found = {name: metadata.version(name) for name in DISTRIBUTIONS}
    found["cryptography"] += f" with {' '.join(backend.openssl_version_text().split()[:2])}"
    for name, (command, pattern) in PROGRAMS.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            continue
        found[name] = found_in(done.stdout + done.stderr, pattern)
    return found
