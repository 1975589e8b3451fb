"""What runs inside Redis: a change and the word of it are one step, so that neither is without the other."""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple


class Script(NamedTuple):
    """A Lua script; Redis keeps it by its hash until it restarts or is told to forget."""

    text: bytes
    sha: bytes


def script(text: str) -> Script:
    """A script by its text."""
    data = text.encode("ascii")
    return Script(data, sha1(data, usedforsecurity=False).hexdigest().encode("ascii"))


_SET = """
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
redis.call('PUBLISH', ARGV[1], '+' .. ARGV[2])
return 1
"""

PUT = script(_SET)
"""Key; channel, value, milliseconds or ""."""

SWAP = script(
    """
local present = redis.call('GET', KEYS[1])
if ARGV[4] == '' then
    if present then return 0 end
elseif present ~= string.sub(ARGV[4], 2) then
    return 0
end
"""
    + _SET
)
"""Key; channel, value, milliseconds or "", and "" for no present value or "=" with the expected one."""

DELETE = script(
    """
local found = redis.call('DEL', KEYS[1])
if found == 1 then redis.call('PUBLISH', ARGV[1], '-') end
return found
"""
)
"""Key; channel."""

CHANGED = b"+"
"""What word of a new value begins with; any other is of a key that is gone."""
