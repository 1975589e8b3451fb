"""Routes with `login`: what only shows when they are looked at beside the others."""

from __future__ import annotations

from collections.abc import Iterator

from ttagw.config.faults import Finding
from ttagw.config.model import Config
from ttagw.config.routes import Route
from ttagw.core.pattern import Pattern, Shape

_BY = frozenset(("POST", "PUT", "PATCH"))


def notices(config: Config) -> Iterator[Finding]:
    """Routes by which anybody reaches a login under another spelling of its path, which services often forgive."""
    logins = [route for route in config.routes if route.login]
    for index, route in enumerate(config.routes):
        if route.login or route.auth == "required" or (route.methods and _BY.isdisjoint(route.methods)):
            continue
        for login in logins:
            found = next(_ways_around(login, route, logins), None)
            if found is not None:
                text = f'leads to "{found}" too, which the service may take for the login of "{login.name}": failures '
                yield ("routes", index, "path"), text + "there do not count, unless this route has login as well"
                break


def _ways_around(login: Route, route: Route, logins: list[Route]) -> Iterator[str]:
    if _services(login).isdisjoint(_services(route)):
        return
    protected = [Shape(Pattern(each.path)) for each in logins]
    open_to_all = Shape(Pattern(route.path))
    whole = login.path.removesuffix("/*")
    folder, _, last = whole.rpartition("/")
    for path in (f"{whole}/", f"{folder}/{last.upper()}"):
        raw = path.encode("ascii")
        if open_to_all.matches_path(raw) and not any(each.matches_path(raw) for each in protected):
            yield path


def _services(route: Route) -> set[str]:
    return {*route.split, route.service} - {""}
