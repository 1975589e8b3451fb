"""The configuration that the demo writes for the gateway."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ttagw.checks import EXTRA
from ttagw.config import Fault, load
from ttagw.demo.configuration import ROUTES, render
from ttagw.demo.ports import DOMAIN_PORTS

SHIPPED = Path(__file__).parents[2] / "etc" / "ttagw.toml"
PORT = st.integers(1, 65535)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20)


@given(PORT, PORT, st.fixed_dictionaries(dict.fromkeys(DOMAIN_PORTS, PORT)), NAMES)
def test_it_is_toml_that_says_what_was_asked(listen: int, admin: int, services: dict[str, int], file: str) -> None:
    made = tomllib.loads(render(listen, admin, services, Path("/logs") / file))
    assert made["gateway"]["listen"] == [f"tcp:{listen}:interface=127.0.0.1"]
    assert made["gateway"]["admin"] == f"tcp:{admin}:interface=127.0.0.1"
    assert made["log"]["access"] == str(Path("/logs") / file)
    assert {name: each["instances"] for name, each in made["services"].items()} == {
        name: [f"http://127.0.0.1:{port}"] for name, port in services.items()
    }
    assert made["routes"] == tomllib.loads(ROUTES)["routes"]
    (issuer,) = made["auth"]["issuers"]
    assert issuer["jwks_url"] == f"http://127.0.0.1:{services['authentication']}/.well-known/jwks.json"


def test_it_lets_those_in_whom_the_shipped_file_lets_in(tmp_path: Path) -> None:
    path = tmp_path / "ttagw.toml"
    path.write_text(render(8000, 8001, DOMAIN_PORTS, tmp_path / "access.log"))
    told: list[Fault] = []
    made, shipped = load(path, {}, EXTRA, told.append), load(SHIPPED, {})
    assert told == []
    assert [route.model_copy(update={"max_body": None}) for route in shipped.routes] == list(made.routes)
    assert (made.limits, made.classes) == (shipped.limits, shipped.classes)
    (here,), (there,) = made.auth.issuers, shipped.auth.issuers
    assert here.model_copy(update={"algorithms": there.algorithms}) == there
