"""What runs inside Redis for limits that gateways share: the ledger of `ttagw.core.lease`, in one step for all buckets.

A bucket is a string: its level, when that was, in microseconds by Redis' own clock, at which rate it leaks until
somebody asks with another, and the last time that it was empty, from when to when; then who was lent how much until
when, those whose time ends first before the others. Numbers are doubles, least byte first. A bucket that is empty is
gone, and one that is not goes a second after it would be.

What was used while Redis was away can have leaked only as far as the bucket was empty meanwhile: otherwise it has
leaked already what it could. So much is known to those who tell one after the other: a bucket is kept for ten seconds
for them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from ttagw.core.lease import KEPT, MOST_TOLD, Answer, Item, Told, lendable
from ttagw.store.redis_scripts import script

ALIVE: Final = 5.0
"""Seconds after which a gateway that says nothing is gone."""

COUNT: Final = script(
    """
local KEPT = @KEPT
local KEEP = 10000
local LINGER = 1000
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local me = ARGV[1]

local function leak(bucket, to)
    if to <= bucket.at then return end
    local empty = bucket.at + bucket.level * 1000000 / bucket.rate
    if empty < to then
        if bucket.level > 0 or bucket.till ~= bucket.at then bucket.idle = empty end
        bucket.till = to
    end
    bucket.level = math.max(0, bucket.level - (to - bucket.at) * bucket.rate / 1000000)
    bucket.at = to
end

local function read(key, rate)
    local bucket = {level = 0, at = now, rate = rate, idle = 0, till = now}
    bucket.lent, bucket.mine, bucket.holders, bucket.rest, bucket.more = 0, 0, 1, '', 0
    local data = redis.pcall('GET', key)
    if type(data) ~= 'string' or #data < 40 or (#data - 40) % 24 ~= 0 then return bucket end
    local from
    bucket.level, bucket.at, bucket.rate, bucket.idle, bucket.till, from = struct.unpack('<ddddd', data)
    for _, each in ipairs({'at', 'idle', 'till'}) do bucket[each] = math.min(bucket[each], now) end
    while from <= #data do
        local who, lent, ends
        who, lent, ends, from = struct.unpack('<c8dd', data, from)
        ends = math.min(ends, now + KEPT)
        if ends <= now then
            leak(bucket, ends)
            bucket.level = bucket.level + lent
        elseif who == me then
            bucket.mine = lent
        else
            bucket.lent = bucket.lent + lent
            bucket.holders = bucket.holders + 1
            bucket.rest = bucket.rest .. struct.pack('<c8dd', who, lent, ends)
        end
    end
    leak(bucket, now)
    bucket.write = bucket.rate ~= rate
    bucket.rate = rate
    return bucket
end

local function tell(bucket, item)
    local used = math.min(item.used, bucket.mine)
    bucket.level = bucket.level + used
    bucket.mine = bucket.mine - used
    bucket.mine = bucket.mine - math.min(item.returned, bucket.mine)
    if item.undone > 0 then
        local leaked = math.max(0, now - item.since) * item.rate / 1000000
        bucket.level = math.max(0, bucket.level - math.max(0, item.undone - leaked))
    end
    if item.kind == 3 then bucket.level = 0 end
    if item.kind >= 2 then
        local since = math.max(bucket.idle, now - item.ago)
        local gone = math.min(item.leaked, math.max(0, bucket.till - since) * item.rate / 1000000)
        bucket.idle = since + gone * 1000000 / item.rate
        bucket.keep = item.leaked > 0
        bucket.level = math.max(bucket.level, math.min(bucket.level + item.cost - gone, @MOST * item.burst))
        item.cost = 0
    end
    if item.used > 0 or item.returned > 0 or item.undone > 0 or item.want > 0 or item.kind >= 2 then
        bucket.write = true
    end
end

local function lend(bucket, item)
    local share = math.max(math.floor(item.most / bucket.holders), item.unit)
    local all = bucket.lent + bucket.mine
    local room = math.min(item.most - all, item.burst - bucket.level - all, math.min(share, item.want) - bucket.mine)
    local granted = math.max(0, math.floor(room / item.unit) * item.unit)
    bucket.mine = bucket.mine + granted
    return granted
end

local function write(key, bucket, item)
    local all = bucket.level + bucket.lent + bucket.mine
    local held = bucket.rest
    if bucket.mine > 0 or item.want > 0 then held = held .. struct.pack('<c8dd', me, bucket.mine, now + KEPT) end
    if all <= 0 and held == '' and not bucket.keep then return redis.call('DEL', key) end
    local ends = math.ceil(all / item.rate * 1000) + LINGER
    if bucket.keep then ends = ends + KEEP end
    if held ~= '' then ends = ends + KEPT / 1000 end
    local data = struct.pack('<ddddd', bucket.level, now, item.rate, bucket.idle, bucket.till) .. held
    redis.call('SET', key, data, 'PX', string.format('%.0f', ends))
end

local buckets, items = {}, {}
local refused = 0
for i, key in ipairs(KEYS) do
    local item = {}
    item.rate, item.burst, item.most, item.cost, item.kind, item.used, item.returned, item.want, item.unit,
        item.undone, item.since, item.leaked, item.ago = struct.unpack('<ddddddddddddd', ARGV[i + 1])
    items[i] = item
    local bucket = buckets[key]
    if not bucket then
        bucket = read(key, item.rate)
        buckets[key] = bucket
    end
    tell(bucket, item)
    local over = bucket.level + bucket.lent + bucket.mine + bucket.more + item.cost - item.burst
    item.fits = item.cost <= 0 or over <= item.burst * 1e-9
    item.wait = 0
    if item.fits then
        bucket.more = bucket.more + item.cost
    else
        item.wait = over / item.rate
        if item.cost > item.burst then item.wait = math.huge end
        if item.kind == 0 then refused = 1 end
    end
end
local answer = {struct.pack('<dd', refused, now)}
for i, key in ipairs(KEYS) do
    local item, bucket = items[i], buckets[key]
    if refused == 0 and item.fits and item.cost > 0 then
        bucket.level = bucket.level + item.cost
        bucket.more = bucket.more - item.cost
        bucket.write = true
    end
end
for i, key in ipairs(KEYS) do
    local item, bucket = items[i], buckets[key]
    local granted = 0
    if refused == 0 and item.want > 0 then granted = lend(bucket, item) end
    if bucket.write then write(key, bucket, item) end
    local charged = refused == 0 and item.fits and 1 or 0
    answer[i + 1] = struct.pack('<dddd', charged, bucket.level + bucket.lent + bucket.mine, item.wait, granted)
end
return table.concat(answer)
""".replace("@KEPT", str(round(KEPT * 1e6))).replace("@MOST", str(MOST_TOLD))
)
"""Buckets; who we are, and an item for each bucket. One bucket can be there more than once."""

HELLO: Final = script(
    """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - @ALIVE)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 1000000, '+inf')
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], 60000)
return redis.call('ZCARD', KEYS[1])
""".replace("@ALIVE", str(round(ALIVE * 1e6)))
)
"""The set of gateways; who we are. How many there are."""

_ITEM = struct.Struct("<13d")
_HEAD = struct.Struct("<2d")
_TOLD = struct.Struct("<4d")


def packed(item: Item) -> bytes:
    """An item as the script takes it."""
    return _ITEM.pack(
        item.rate,
        item.burst,
        lendable(item.rate, item.burst),
        item.cost,
        item.kind,
        item.used,
        item.returned,
        item.want,
        item.unit,
        item.undone,
        item.since,
        item.leaked,
        item.ago * 1e6,
    )


def unpacked(answer: Any, items: Sequence[Item]) -> Answer | None:
    """What the script says; None for what makes no sense."""
    if not isinstance(answer, bytes) or len(answer) != _HEAD.size + len(items) * _TOLD.size:
        return None
    refused, now = _HEAD.unpack_from(answer)
    told = [
        Told(charged == 1.0, total, wait, granted)
        for charged, total, wait, granted in _TOLD.iter_unpack(answer[_HEAD.size :])
    ]
    sense = refused in (0.0, 1.0) and now >= 0.0 and all(_sense(each) for each in told)
    return Answer(refused == 1.0, now, tuple(told)) if sense else None


def _sense(told: Told) -> bool:
    # Neither is true of what is not a number.
    return told.total >= 0.0 and told.wait >= 0.0 and told.granted >= 0.0
