"""The innermost step: choose an instance, get a connection, send, and pass the answer on."""

from ttagw.attempt.attempt import Attempt
from ttagw.attempt.forward import Pick, forward_to, split
from ttagw.attempt.protocols import Connection, Pool, Waiter
from ttagw.attempt.service import Instance, Retries, Service

__all__ = [
    "Attempt",
    "Connection",
    "Instance",
    "Pick",
    "Pool",
    "Retries",
    "Service",
    "Waiter",
    "forward_to",
    "split",
]
