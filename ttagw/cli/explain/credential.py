"""Steps: what was shown to say who is asking, and what the gateway makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from ttagw.auth import keyfile
from ttagw.auth.keyfile import name_in
from ttagw.cli.explain.keysets import KeySet
from ttagw.cli.explain.reading import Reading, texts
from ttagw.cli.explain.step import Step, shown
from ttagw.cli.explain.trial import Trial
from ttagw.errors import TokenExpiredError, TokenRefusedError
from ttagw.model import Fields

_KINDS = ("typ", "type", "token_use", "token_type")
"""What says of a token what it is for."""


def credential(trial: Trial, now: float) -> Iterator[Step]:
    """The way from what was sent to a verdict about it; `now` is Unix time."""
    sent = [each for each in trial.exchange.credentials or () if each[0] != b"x-break-glass-reason"]
    if not sent:
        yield Step("token", "form", "none was sent")
    elif trial.route is None:
        yield Step("token", "form", "not looked at", "no route answers")
    elif trial.route.auth == "none":
        yield Step("token", "form", "not looked at", 'the route has auth = "none"')
    else:
        yield from _one(trial, sent, now) if len(sent) == 1 else (_many(len(sent)),)
        yield _verdict(trial)


def _many(count: int) -> Step:
    return Step("token", "form", f"{count} credentials", "one is expected")


def _one(trial: Trial, sent: Fields, now: float) -> Iterator[Step]:
    name, value = sent[0]
    text = value if name == b"x-api-key" else value.partition(b" ")[2].strip(b" ")
    key = name_in(text)
    if key:
        yield from _key(trial, key)
    elif trial.verifier.reading is not None:
        yield from _token(trial, trial.verifier.reading, len(text), now)
    else:
        yield Step("token", "form", "nothing that is verified here", "neither a token of an issuer, nor a key")


def _verdict(trial: Trial) -> Step:
    if trial.exchange.identity is not None:
        return Step("token", "verdict", "accepted", "revocations are kept by the running gateway, and not looked at")
    why = trial.exchange.dry_run if trial.error is None else trial.error.reason
    return Step("token", "verdict", "not accepted", why)


def _key(trial: Trial, name: str) -> Iterator[Step]:
    """The key of a program."""
    yield Step("token", "form", "a key of this gateway")
    yield Step("token", "name", name)
    path = trial.config.auth.api_keys.file
    if not path:
        yield Step("token", "file", "none", "auth.api_keys.file is not set")
        return
    entry = keyfile.load(path).get(name)
    if entry is None:
        yield Step("token", "file", "does not have this name", path)
        return
    yield Step("token", "file", "has this name", path)
    yield Step("token", "roles", ", ".join(entry.roles) or "none")
    yield Step("token", "permissions", ", ".join(entry.permissions) or "none")
    yield Step("token", "expires", "never" if entry.expires is None else entry.expires.isoformat())


def _token(trial: Trial, reading: Reading, size: int, now: float) -> Iterator[Step]:
    if reading.fault:
        yield Step("token", "form", "not a JSON Web Token", reading.fault)
        return
    yield Step("token", "form", "a JSON Web Token", f"{size} bytes")
    header, claims = reading.header, reading.claims
    issuers = [each.issuer for each in trial.config.auth.issuers]
    keys = trial.verifier.keys
    name = shown(claims.get("iss", "none"))
    if keys is None:
        yield Step("token", "issuer", name, f"not one of {', '.join(issuers)}")
    else:
        yield Step("token", "issuer", name, f"auth.issuers[{issuers.index(keys.issuer.issuer)}]")
        yield Step("token", "algorithm", shown(header.get("alg", "none")), f"of {', '.join(keys.issuer.algorithms)}")
        yield from _key_used(keys, header.get("kid"))
        yield Step("token", "signature", _signature(trial))
    yield from _claims(trial, reading, now)


def _key_used(keys: KeySet, kid: object) -> Iterator[Step]:
    value = "none" if kid is None else shown(kid)
    if keys.fault:
        yield Step("token", "key", value, f"{keys.place}: {keys.fault}")
    elif keys.place == "secret_file":
        yield Step("token", "key", value, "secret_file: one secret, for every kid")
    else:
        names = ", ".join([each or "one without kid" for each in keys.ids])
        found = "one of" if kid is None else "among" if value in keys.ids else "not among"
        yield Step("token", "key", value, f"{keys.place}: {found} {names}")


def _signature(trial: Trial) -> str:
    if trial.exchange.identity is not None or _refused(trial) == TokenExpiredError.code:
        return "good"
    return "see the verdict"


def _refused(trial: Trial) -> str:
    return trial.error.code if isinstance(trial.error, TokenRefusedError) else ""


def _claims(trial: Trial, reading: Reading, now: float) -> Iterator[Step]:
    """What it says of its time and its purpose, none of which is about the person."""
    auth = trial.config.auth
    for name, claim in (("expires", "exp"), ("not before", "nbf"), ("issued", "iat")):
        if claim in reading.claims or claim == "exp":
            value, note = _time(reading.claims.get(claim), now)
            yield Step("token", name, value, note and f"{note}; leeway {auth.leeway:g} s")
    keys = trial.verifier.keys
    wanted = keys.issuer.audience if keys is not None else ()
    audience = texts(reading.claims.get("aud"))
    yield Step(
        "token",
        "audience",
        shown(", ".join(audience) or "none"),
        f"one of {', '.join(wanted)} is expected" if wanted else "none is expected",
    )
    kinds = [(each, said[each]) for each in _KINDS for said in (reading.header, reading.claims) if each in said]
    yield Step("token", "type", shown(", ".join([f"{name} {value}" for name, value in kinds]) or "not said"))
    yield Step("token", "subject", shown(reading.claims.get("sub", "none")))


def _time(value: object, now: float) -> tuple[str, str]:
    """A time of a token, and how far off it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shown("none" if value is None else value), "" if value is None else "not a number"
    try:
        text = datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return shown(value), "no time of any calendar"
    return text, _distance(value - now)


def _distance(seconds: float) -> str:
    size = abs(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if size >= 2 * length:
            text = f"{size / length:.0f} {unit}"
            break
    else:
        text = f"{size:.0f} s"
    return f"in {text}" if seconds > 0 else f"{text} ago"
