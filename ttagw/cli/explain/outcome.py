"""Steps: which route it is, what the service would get; and the last line, what the client gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

from ttagw.attempt import split
from ttagw.cli.explain import access, credential
from ttagw.cli.explain.step import Step, shown
from ttagw.cli.explain.trial import Trial
from ttagw.cli.routes import services, tree_of
from ttagw.config import Route
from ttagw.config.units import write_seconds
from ttagw.core.pattern import Pattern, Shape
from ttagw.core.rewrite import compile as compile_rewrite
from ttagw.errors import GatewayError

_SECRET = (b"authorization", b"x-api-key", b"cookie")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client gets."""

    forwarded: bool
    status: int | None
    """None: what the service says."""
    code: str = ""
    reason: str = ""
    missing: str = ""
    service: str = ""
    path: str = ""
    dry_run: str = ""
    """Why it would have been refused, were that not only tried out."""
    fallback: str = ""
    """The safe response that stands in for the error."""
    unless: tuple[str, ...] = ()
    """What would let it through all the same, and is not found out here."""

    def line(self) -> str:
        """In words."""
        if self.forwarded:
            tried = f" (dry run: without it, refused: {self.dry_run})" if self.dry_run else ""
            return f"forwarded to {self.service} {self.path}{tried}"
        if not self.code:
            return f"{self.status}: OPTIONS * is about the server as a whole"
        more = f"; missing: {self.missing}" if self.missing else ""
        stands = f"; the safe response {self.fallback} stands in for it" if self.fallback else ""
        unless = f"; unless {', or '.join(self.unless)}" if self.unless else ""
        return f"{self.status} {self.code}: {self.reason}{more}{stands}{unless}"

    def document(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def steps(trial: Trial, now: float) -> list[Step]:
    """Everything on the way, in its order; `now` is Unix time."""
    return list(_steps(trial, now))


def _steps(trial: Trial, now: float) -> Iterator[Step]:
    exchange, route = trial.exchange, trial.route
    yield Step("request", "method", shown(exchange.method.decode("latin-1")))
    yield Step("request", "host", shown(exchange.host.decode("latin-1")))
    yield Step("request", "path", shown(exchange.path.decode("latin-1")))
    yield Step("request", "client", exchange.client)
    if exchange.path.startswith(b"/"):
        yield from _route(trial)
    yield from credential.credential(trial, now)
    if route is None:
        return
    yield from access.identity(trial)
    yield from access.requirement(trial, route)
    yield Step("requirement", "dry run", "on" if route.dry_run else "off", _tried(trial, route))
    if trial.forwarded:
        yield from _service(trial, route)


def _tried(trial: Trial, route: Route) -> str:
    if not route.dry_run:
        return ""
    return f"would be refused: {trial.exchange.dry_run}" if trial.exchange.dry_run else "would be let through as well"


def _route(trial: Trial) -> Iterator[Step]:
    exchange, route = trial.exchange, trial.route
    fields = [(name.lower(), value) for name, value in exchange.fields]
    yield Step("route", "answers", "none" if route is None else route.name)
    for line in tree_of(trial.config).explain(exchange.host, exchange.method, exchange.path, fields):
        name, _, reason = line.partition(": ")
        yield Step("route", "why", name, reason)
    if route is not None:
        yield Step("route", "path", route.path)
        for name, value in zip(Shape(Pattern(route.path)).names, exchange.params, strict=True):
            yield Step("route", "param", f"{name} = {shown(value.decode('latin-1'))}")


def _service(trial: Trial, route: Route) -> Iterator[Step]:
    """What goes to the service."""
    exchange = trial.exchange
    for line in exchange.forwarded.decode("latin-1").split("\r\n")[:-1]:
        name, _, said = line.partition(": ")
        yield Step("service gets", name, shown(said))
    yield Step("service gets", "x-request-id", "a new one")
    if trial.config.auth.upstream.secret_file:
        yield Step("service gets", "x-tta-assertion", "a new one", "signed with auth.upstream.secret_file")
    for field, value in exchange.fields:
        text = "(not shown)" if field.lower() in _SECRET else shown(value.decode("latin-1"))
        yield Step("service gets", shown(field.decode("latin-1")), text)
    yield Step("service", "name", _picked(trial, route), f"of {services(route)}" if route.split else "")
    yield Step("service", "path", _path(trial, route), f"by rewrite {route.rewrite}" if route.rewrite else "")
    if exchange.query is not None:
        count = exchange.query.count(b"&") + 1
        yield Step("service", "query", f"{count} parameter{'' if count == 1 else 's'}", "as sent, without a token")
    if route.timeout is not None:
        yield Step("service", "timeout", write_seconds(route.timeout), "for the whole exchange")
    answer = max(trial.config.upstream.response_timeout, route.timeout or 0.0)
    yield Step("service", "answer within", write_seconds(answer), "to the head of the answer")


def _picked(trial: Trial, route: Route) -> str:
    if not route.split:
        return route.service
    # The names stand for the services: who gets which depends on nothing but the weights and who is asking.
    pick = split(cast(Any, list(route.split.items())), route.name)
    return cast(str, pick(trial.exchange))


def _path(trial: Trial, route: Route) -> str:
    rewrite = compile_rewrite(route.path, route.rewrite)
    exchange = trial.exchange
    path = exchange.path if rewrite is None else rewrite.apply(exchange.params, exchange.rest)
    return path.decode("latin-1")


def outcome(trial: Trial) -> Outcome:
    """How it ends."""
    route, error = trial.route, trial.error
    if trial.forwarded and route is not None:
        return Outcome(
            True,
            None,
            service=_picked(trial, route),
            path=_path(trial, route),
            dry_run=trial.exchange.dry_run,
        )
    if error is None:
        return Outcome(False, 204)
    return Outcome(
        False,
        error.status,
        error.code,
        error.reason,
        error.more.get("missing", ""),
        fallback=_fallback(trial, error),
        unless=() if route is None else tuple(access.unless(trial, route)),
    )


def _fallback(trial: Trial, error: GatewayError) -> str:
    if trial.route is None or error.status < 500:
        return ""
    names = trial.route.split or (trial.route.service,)
    return next((each for name in names if (each := trial.config.services[name].fallback)), "")
