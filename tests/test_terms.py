"""What the configuration makes of people, roles and routes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttagw.config import Config, ConfigError, load
from ttagw.identities import asked, roles_of, terms

TEXT = """
[services.a]
instances = ["http://h"]
[[routes]]
name = "open"
path = "/open"
service = "a"
auth = "none"
[[routes]]
name = "own"
path = "/people/{person}"
service = "a"
roles = ["patient", "nurse"]
permissions = ["see:it"]
mfa = true
owner = "person"
dry_run = true
[auth.roles.nurse]
permissions = ["see:it"]
inherits = ["therapist"]
break_glass = true
[auth.api_keys]
file = "keys.toml"
"""


def loaded(folder: Path, text: str = TEXT) -> Config:
    """The configuration of this text."""
    (folder / "keys.toml").write_text("")
    file = folder / "ttagw.toml"
    file.write_text(text)
    return load(file)


def test_roles_are_those_of_tta_and_those_that_are_configured(tmp_path: Path) -> None:
    roles = roles_of(loaded(tmp_path))
    assert {"see:it", "view_patient_progress"} <= roles.permissions(["nurse"])
    assert roles.may_break_glass == {"therapist", "nurse"}
    assert roles.known("patient")


def test_what_each_route_asks(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert {name: (each.auth, each.dry_run) for name, each in asked(config).items()} == {
        "open": ("none", False),
        "own": ("required", True),
    }
    own = terms(config)["own"]
    assert (own.path, own.owner, own.dry_run) == ("/people/{person}", "person", True)
    assert own.requirement == (True, {"patient", "nurse"}, {"see:it"}, True, True)
    assert not terms(config)["open"].requirement.anything
    assert not terms(config)["open"].requirement.required


@pytest.mark.parametrize("word", ["schön", "a b", "a,b", 'a"b', "a\\r\\nx-evil: 1", ""])
@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('permissions = ["see:it"]\nmfa', 'permissions = ["{}"]\nmfa', "routes[1].permissions[0]"),
        ('permissions = ["see:it"]\ninherits', 'permissions = ["{}"]\ninherits', "auth.roles.nurse.permissions[0]"),
    ],
)
def test_a_permission_can_stand_in_a_field(tmp_path: Path, word: str, before: str, after: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, TEXT.replace(before, after.replace("{}", word.replace('"', '\\"'))))
    (fault,) = caught.value.faults
    assert fault.key == key
    assert "expected a permission" in fault.message


@pytest.mark.parametrize("name", ["roles", "permissions"])
def test_what_a_certificate_gives_can_stand_in_a_field(tmp_path: Path, name: str) -> None:
    more = f'[[auth.certificates.clients]]\nname = "c"\nmatch = "cn:c"\n{name} = ["a,b"]\n'
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, TEXT + more)
    assert f"auth.certificates.clients[0].{name}[0]" in [each.key for each in caught.value.faults]
