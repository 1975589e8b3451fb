"""Sets of keys (JWK Sets, RFC 7517), and which of them a token names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ttagw.auth.compact import is_kid
from ttagw.auth.signatures import FITTING, UnusableKeyError, public_key
from ttagw.core.base64url import decoded
from ttagw.core.strict_json import parse_object

MOST_TRIED = 4
"""Keys that a token without a name for its key is tried with."""
MOST_BYTES = 256 * 1024
MOST_KEYS = 200
"""Of one set."""

_LONGEST_NUMBER = 2048
"""Characters of one number of a key: twelve thousand bits."""
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth"))
_NUMBERS: Mapping[str, Sequence[str]] = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",)}


class Skipped(NamedTuple):
    """A key that is not used."""

    kid: str
    """"" if it has none, or none that can be said."""
    reason: str
    """A fixed token."""


class KeySetError(Exception):
    """A document without any key that can be used."""

    def __init__(self, reason: str, skipped: Sequence[Skipped] = ()) -> None:
        """`reason` is a fixed token; `skipped` says more where there were keys."""
        super().__init__(reason)
        self.reason = reason
        self.skipped = skipped


class PublicKey(NamedTuple):
    """A key that signatures can be checked with."""

    kid: str | None
    algorithms: frozenset[str]
    """What it may have signed with."""
    key: Any
    numbers: tuple[str, ...]
    """What it is: two keys with the same are one."""


class KeySet:
    """The keys of an issuer."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self.keys = tuple(keys)
        self._named = {(each.kid, name): each.key for each in self.keys for name in each.algorithms}
        self._kids = frozenset(each.kid for each in self.keys)
        fitting: dict[str, dict[tuple[str, ...], Any]] = {}
        for each in self.keys:
            for name in each.algorithms:
                fitting.setdefault(name, {})[each.numbers] = each.key
        self._fitting = {name: tuple(found.values())[:MOST_TRIED] for name, found in fitting.items()}

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, kid: str | None, algorithm: str) -> tuple[Any, ...]:
        """The key of this name that fits the algorithm; without a name all that do, `MOST_TRIED` at the most."""
        if kid is None:
            return self._fitting.get(algorithm, ())
        key = self._named.get((kid, algorithm))
        return () if key is None else (key,)

    def refuses(self, kid: str | None, algorithm: str) -> bool:  # noqa: ARG002 - the shape of `find`
        """Whether the set itself says that what `find` has no key for is not good: a key of that name is there, for
        other algorithms. Asking the issuer again would change nothing.
        """
        return kid is not None and kid in self._kids

    def facts(self) -> frozenset[tuple[object, ...]]:
        """What is another whenever the keys are others."""
        return frozenset((each.kid, each.algorithms, each.numbers) for each in self.keys)


def parse(document: bytes, algorithms: Sequence[str]) -> tuple[KeySet, list[Skipped]]:
    """The keys of a document that an issuer may use, and those that are passed over. Raises `KeySetError`.

    A name that stands for several keys of one algorithm stands for none: whichever were taken, tokens of the other
    would be refused, or the order in the document would decide who is believed. The same key twice is one.
    """
    if len(document) > MOST_BYTES:
        raise KeySetError("too_large")
    try:
        keys = parse_object(document).get("keys")
    except ValueError:
        raise KeySetError("not_json") from None
    if not isinstance(keys, list):
        raise KeySetError("not_a_key_set")
    if len(keys) > MOST_KEYS:
        raise KeySetError("too_many_keys")
    good: list[PublicKey] = []
    skipped: list[Skipped] = []
    for each in keys:
        try:
            good.append(_key(each, algorithms))
        except UnusableKeyError as error:
            skipped.append(Skipped(_said(each), str(error)))
    good, doubtful = _told_apart(good)
    skipped += doubtful
    if not good:
        raise KeySetError("no_usable_key", skipped)
    return KeySet(good), skipped


def _key(jwk: object, allowed: Sequence[str]) -> PublicKey:
    """Raises `UnusableKeyError`."""
    if not isinstance(jwk, dict):
        raise UnusableKeyError("not_an_object")
    kty, crv = jwk.get("kty"), jwk.get("crv")
    if kty == "oct":
        raise UnusableKeyError("symmetric")
    if not isinstance(kty, str) or kty not in _NUMBERS:
        raise UnusableKeyError("kty")
    if not _PRIVATE.isdisjoint(jwk):
        raise UnusableKeyError("private")
    if "kid" in jwk and not is_kid(jwk["kid"]):
        raise UnusableKeyError("kid")
    if jwk.get("use", "sig") != "sig":
        raise UnusableKeyError("use")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeyError("key_ops")
    curve = "" if kty == "RSA" else crv
    fitting = FITTING.get((kty, curve)) if isinstance(curve, str) else None
    if fitting is None:
        raise UnusableKeyError("curve")
    named = jwk.get("alg")
    usable = frozenset(fitting).intersection(allowed, fitting if named is None else (_text(named),))
    if not usable:
        raise UnusableKeyError("alg")
    numbers = tuple(_number(jwk.get(name)) for name in _NUMBERS[kty])
    plain = {"kty": kty, **({"crv": crv} if curve else {}), **dict(zip(_NUMBERS[kty], numbers, strict=True))}
    return PublicKey(jwk.get("kid"), usable, public_key(plain, min(usable)), (kty, str(curve), *numbers))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> str:
    """A number as base64url, in its one form. Raises `UnusableKeyError`."""
    if not isinstance(value, str) or not value or not value.isascii():
        raise UnusableKeyError("numbers")
    if len(value) > _LONGEST_NUMBER:
        raise UnusableKeyError("too_long")
    try:
        decoded(value.encode("ascii"))
    except ValueError:
        raise UnusableKeyError("numbers") from None
    return value


def _said(jwk: object) -> str:
    kid = jwk.get("kid", "") if isinstance(jwk, dict) else ""
    return kid if isinstance(kid, str) and is_kid(kid) else ""


def _told_apart(keys: Iterable[PublicKey]) -> tuple[list[PublicKey], list[Skipped]]:
    """The keys of which the name says which one is meant, each once, and the others."""
    meant: dict[tuple[str | None, str], set[tuple[str, ...]]] = {}
    for key in keys:
        for name in key.algorithms:
            meant.setdefault((key.kid, name), set()).add(key.numbers)
    once = {(each.kid, each.algorithms, each.numbers): each for each in keys}.values()
    doubtful = [
        each for each in once if any(len(meant.get((each.kid or "", name), ())) > 1 for name in each.algorithms)
    ]
    doubtful = [each for each in doubtful if each.kid is not None]
    return [each for each in once if each not in doubtful], [Skipped(each.kid or "", "kid_twice") for each in doubtful]
