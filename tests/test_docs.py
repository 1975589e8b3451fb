"""The manual is complete and true where a machine can tell: codes, reasons, log fields, metrics, limits, examples."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from ttagw.checks import EXTRA
from ttagw.config import Fault, Http, Upstream, load
from ttagw.config.units import seconds, size
from ttagw.core.breaker import State
from ttagw.core.headers import DROP, IDENTITY, REQUESTS, RESPONSES
from ttagw.core.rbac import BREAK_GLASS, PERMISSIONS, Lack, Requirement
from ttagw.errors import CredentialsRequiredError, catalogue
from ttagw.layers.authorise import refusal
from ttagw.logs.access import AccessLog
from ttagw.model import Exchange, Reply
from ttagw.pipeline import Hooks, Pipeline, Route
from ttagw.service import Gateway
from ttagw.testing import RecordingLines, RecordingSink, exchange
from ttagw.web.render import TYPE_BASE, render

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
RAISED = frozenset(("_Refused", "TargetError")) | {kind.__name__ for kind in catalogue()}
RAISED |= {"BadTargetError", "MethodRefusedError", "InternalError"}


def page(name: str) -> str:
    """The source of a page."""
    return (DOCS / f"{name}.rst").read_text("utf-8")


def rows(text: str) -> list[list[str]]:
    """The rows of all list-tables in a text, each cell on one line."""
    found: list[list[str]] = []
    for line in text.splitlines():
        cell = re.match(r"\s+(\* )?- ?(.*)", line)
        if cell and cell[1]:
            found.append([cell[2]])
        elif cell and found and re.match(r"\s+- ?", line):
            found[-1].append(cell[2])
        elif found and line.startswith("    ") and line.strip():
            found[-1][-1] += " " + line.strip()
    return found


def row(name: str, key: str) -> list[str]:
    """The row of a page that begins with this literal."""
    (found,) = [each for each in rows(page(name)) if each[0] == f"``{key}``"]
    return found


def words(node: ast.AST) -> Iterator[str]:
    """The fixed tokens in an expression."""
    for each in ast.walk(node):
        if (
            isinstance(each, ast.Constant)
            and isinstance(each.value, str)
            and re.fullmatch(r"[a-z]+(_[a-z]+)*", each.value)
        ):
            yield each.value


def reasons_in(source: str) -> Iterator[str]:
    """Every reason that a module gives: what errors are made with, and what is assigned as a reason."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in RAISED or name == "give_up":
                given = node.args[0]
                for each in (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,):
                    yield from words(each)
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
            name = getattr(target, "id", "") or getattr(target, "attr", "")
            if name in ("reason", "reason_token") or (
                isinstance(target, ast.Subscript) and ast.unparse(target.value) == "refused"
            ):
                value = node.value.body if isinstance(node.value, ast.IfExp) else node.value
                yield from words(value)
                if isinstance(node.value, ast.IfExp):
                    yield from words(node.value.orelse)


def modules() -> list[Path]:
    """The modules that carry requests."""
    folders = ("abuse", "admin", "attempt", "auth", "core", "layers", "upstream", "web")
    named = [path for folder in folders for path in sorted((ROOT / "ttagw" / folder).rglob("*.py"))]
    single = ("pipeline.py", "tree.py", "registry/directory.py")
    return [*named, *[ROOT / "ttagw" / each for each in single]]


def told_in(source: str) -> Iterator[tuple[str, set[str]]]:
    """Each kind of event that a module tells, with the severities that it may have."""
    tree = ast.parse(source)
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values.setdefault(node.targets[0].id, []).append(node.value)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in ("tell", "_tell") or not node.args:
            continue
        kind = node.args[0]
        given = [each.value for each in node.keywords if each.arg == "severity"] + node.args[4:5]
        severity = given[0] if given else ast.Constant("info")
        meant = values.get(severity.id, []) if isinstance(severity, ast.Name) else [severity]
        severities = {word for each in meant for word in words(each)} & {"info", "warn", "alert"}
        if isinstance(kind, ast.JoinedStr):
            (prefix,) = words_with_end(kind)
            yield from ((prefix + each.value, severities) for each in State)
        else:
            named = values.get(kind.id, []) if isinstance(kind, ast.Name) else [kind]
            yield from ((word, severities) for each in named for word in words(each) if "_" in word)


def words_with_end(node: ast.AST) -> Iterator[str]:
    """The constant parts of an f-string."""
    return (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))


def documented_reasons() -> set[str]:
    text = page("errors")
    return {each[0].strip("`") for each in rows(text[text.index(".. _reasons:") :]) if each[0].startswith("``")}


def examples() -> dict[str, Any]:
    """The classes in the pages' Python blocks."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", page("layers"), re.MULTILINE):
        exec(textwrap.dedent(block), names)
    return names


def test_every_code_is_in_the_manual_and_no_other() -> None:
    documented = re.findall(r"^\.\. problem:: (\w+)$", page("errors"), re.MULTILINE)
    assert sorted(documented) == sorted(kind.code for kind in catalogue())


def test_every_code_has_its_status_title_blame_and_closing() -> None:
    text = page("errors")
    for kind in catalogue():
        entry = re.search(rf"^\.\. problem:: {kind.code}\n\n((?:   .*\n)+)", text, re.MULTILINE)
        assert entry is not None
        said = " ".join(entry[1].split())
        assert said.startswith(f"{kind.status}, *{kind.title}.*"), kind.code
        assert f"Blame: {kind.blame.value}." in said, kind.code
        assert said.endswith("Closes.") == kind.close, kind.code


def test_the_types_of_problems_lead_to_the_page() -> None:
    assert TYPE_BASE.endswith("/errors#")
    assert (DOCS / "errors.rst").is_file()


def test_every_reason_in_the_code_is_in_the_manual() -> None:
    given = {word for path in modules() for word in reasons_in(path.read_text("utf-8"))}
    assert {"no_host", "dot_segment", "encoded_slash", "queue_timeout", "client_stalled", "headers_slow"} <= given
    assert given - documented_reasons() == set()


def test_every_reason_in_the_manual_is_in_the_code() -> None:
    source = "".join([path.read_text("utf-8") for path in modules()])
    assert {reason for reason in documented_reasons() if f'"{reason}"' not in source} == set()


def test_the_kinds_of_events_and_their_severities_are_in_the_manual() -> None:
    told: dict[str, set[str]] = {}
    for path in (ROOT / "ttagw").rglob("*.py"):
        for kind, severities in told_in(path.read_text("utf-8")):
            told.setdefault(kind, set()).update(severities)
    text = page("registry")
    text = text[text.index("\nEvents\n") : text.index("\nSeveral gateways\n")]
    documented = {each[0].strip("`"): set(each[1].split(", ")) for each in rows(text) if each[0].startswith("``")}
    assert sorted(documented) == sorted(told)
    assert {"instance_down", "source_failed", "panic_ended", "circuit_half_open"} <= set(told)
    assert {kind for kind, severities in documented.items() if not severities <= told[kind]} == set()


def test_the_fields_of_the_access_log_are_in_the_manual() -> None:
    lines = RecordingLines()
    log = AccessLog(lines, "json", lambda: 0.0)
    tried_out = exchange()
    tried_out.dry_run = "role_missing"
    tried_out.access = ("break_glass", "1")
    tried_out.bypass = "breaker"
    log.record(tried_out, 0.001)
    log.flush()
    text = page("seeing")
    text = text[text.index('``log.format = "json"``') : text.index('``log.format = "combined"``')]
    documented = [each[0].strip("`") for each in rows(text) if each[0].startswith("``")]
    assert documented == list(json.loads(b"".join(lines.batches)))


def test_the_metrics_are_in_the_manual(tmp_path: Path) -> None:
    (tmp_path / "ttagw.toml").write_text(
        '[services.s]\ninstances = ["http://127.0.0.1:1"]\n'
        '[[routes]]\nname = "r"\npath = "/*"\nservice = "s"\nauth = "none"\nlogin = "username"\n'
        '[gateway]\nstore = "redis://127.0.0.1:1"\n[limits.l]\nrate = "1/s"\n'
        '[auth.care]\nservice = "s"\n[[auth.issuers]]\nissuer = "i"\njwks_url = "http://127.0.0.1:1/"\n'
    )
    gateway = Gateway(MemoryReactorClock(), load(tmp_path / "ttagw.toml", environ={}))
    given: dict[str, tuple[str, list[str]]] = {}
    for metric in gateway.metrics.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        given[name] = (metric.type, sorted(metric._labelnames))
    text = page("seeing")
    text = text[text.index("\nMetrics\n") : text.index("\nHealth\n")]
    documented = {
        name.strip("`"): (kind, sorted(filter(None, labels.split(", "))))
        for name, kind, labels, _ in [each for each in rows(text) if each[0].startswith("``")]
    }
    assert documented == given


def test_the_limits_and_their_defaults_are_in_the_manual() -> None:
    for model, name in ((Http(), "http"), (Upstream(), "upstream")):
        for key, value in model:
            if key not in ("retries", "retry_budget", "retry_statuses"):
                shown = row(name, key)[1].replace(" ", "")
                assert (seconds(shown) if isinstance(value, float) else size(as_number(shown))) == value, key


def as_number(text: str) -> str | int:
    """A plain number as the configuration has it; a size with a unit stays as it is."""
    return int(text) if text.isdigit() else text


def test_the_identity_headers_and_the_hop_by_hop_ones_are_in_the_manual() -> None:
    text = page("headers").lower()
    dropped = {name.decode() for name, kind in REQUESTS._known.items() if kind == DROP}
    dropped |= {name.decode() for name, kind in RESPONSES._known.items() if kind == DROP}
    dropped |= {name.decode() for name in IDENTITY}
    assert {name for name in dropped if f"``{name}``" not in text} == set()


def test_the_roles_and_their_permissions_are_in_the_manual() -> None:
    text = page("auth")
    listed = rows(text[text.index("\nRoles\n-----") : text.index(".. _care:")])
    documented = {each[0].strip("`"): set(re.findall(r"``(\w+)``", each[1])) for each in listed if each[0][0] == "`"}
    assert documented == {role: set(permissions) for role, permissions in PERMISSIONS.items()}
    assert {each[0].strip("`") for each in listed if "break the glass" in each[1]} == BREAK_GLASS


def test_the_example_of_who_may_is_a_configuration(tmp_path: Path) -> None:
    (block,) = re.findall(r"^\.\. code-block:: toml\n\n((?:   .*\n|\n)+)", page("auth"), re.MULTILINE)
    service = '[services.player-experience]\ninstances = ["http://127.0.0.1:8080"]\n'
    (tmp_path / "ttagw.toml").write_text(service + textwrap.dedent(block), "utf-8")
    told: list[Fault] = []
    (route,) = load(tmp_path / "ttagw.toml", {}, EXTRA, told.append).routes
    assert (route.owner, told) == ("player_id", [])


def test_what_is_shown_of_refusals_is_what_is_answered() -> None:
    text = " ".join(page("auth").split())
    error = refusal(Lack.PERMISSION, Requirement(permissions=frozenset(("manage_users",))))
    for shown in (CredentialsRequiredError(), error):
        problem = json.loads(render(exchange(), shown).body or b"")
        for name in ("title", "status", "detail", "code", "missing"):
            assert name not in problem or f'"{name}": {json.dumps(problem[name])}' in text
        fields = dict(shown.fields)
        assert f"www-authenticate: {fields[b'www-authenticate'].decode()} content-type" in text


def test_the_layer_that_answers_answers_with_the_errors_form() -> None:
    layer = examples()["Closed"]({"r": 60})
    forwarded: list[Exchange] = []
    sink = RecordingSink()
    route = Route("r", "/r", lambda _, exchange: forwarded.append(exchange), max_body=0).bind([layer])
    Pipeline(render).run(exchange(sink=sink, on=route))
    assert forwarded == []
    assert sink.reply is not None
    assert (sink.reply.status, sink.reply.reason) == (503, "closed")
    assert (b"retry-after", b"60") in sink.reply.fields


def test_the_layer_that_waits_lets_one_after_the_other_through() -> None:
    layer = examples()["InTurn"](1)
    running: list[Exchange] = []
    pipeline = Pipeline(render)
    route = Route("r", "/r", lambda _, exchange: running.append(exchange), max_body=0).bind([layer])
    first, second, third = [exchange(on=route) for _ in range(3)]
    for each in (first, second, third):
        pipeline.run(each)
    assert running == [first]
    pipeline.left(second)
    pipeline.end(first)
    assert running == [first, third]
    pipeline.end(third)
    fourth = exchange(on=route)
    pipeline.run(fourth)
    assert running == [first, third, fourth]


def test_a_client_that_leaves_cancels_what_a_layer_waits_for() -> None:
    cancelled: list[Deferred[Reply | None]] = []

    class Waits:
        name = "waits"

        def bind(self, route: Route) -> Hooks:
            return Hooks(lambda exchange: Deferred(cancelled.append))

    pipeline = Pipeline(render)
    waiting = exchange(on=Route("r", "/r", lambda _, exchange: None, max_body=0).bind([Waits()]))
    pipeline.run(waiting)
    pipeline.left(waiting)
    assert len(cancelled) == 1
    assert waiting.status == 499
