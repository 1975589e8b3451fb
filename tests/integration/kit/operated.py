"""Whoever changes something over the admin API, and the key that lets them."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.kit.gateway import Gateway
from ttagw.auth import keyfile
from ttagw.auth.argon2 import hashed

View = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """A key, and the file in which its hash is."""

    file: Path
    text: str

    @property
    def section(self) -> dict[str, Any]:
        """`[auth]` for a gateway that knows this key."""
        return {"api_keys": {"file": str(self.file)}}


def make_key(
    folder: Path, name: str = "operator", roles: Sequence[str] = ("admin",), permissions: Sequence[str] = ()
) -> Key:
    """A new key in `folder`'s file of keys."""
    file = folder / "api-keys.toml"
    text = keyfile.new_key(name, os.urandom(32))
    keyfile.add(file, name, hashed(text.encode("ascii")), tuple(roles), tuple(permissions))
    return Key(file, text)


class Operator:
    """Speaks to one gateway's admin side. Raises `OSError` or `HTTPException` where there is no answer."""

    def __init__(self, gateway: Gateway, key: Key | str) -> None:
        self.gateway = gateway
        self._key = key if isinstance(key, str) else key.text

    def ask(self, method: str, path: str, document: object = None) -> tuple[int, View]:
        """Status and document of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.admin_port, timeout=15)
        body = None if document is None else document if isinstance(document, bytes) else json.dumps(document)
        fields = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, fields if self._key else {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def put(self, service: str, instance: str, port: int = 0, **more: Any) -> int:
        """Register an instance at `port`, unless `url` says otherwise; the status."""
        document = {"url": f"http://127.0.0.1:{port}", **more}
        return self.ask("PUT", f"/services/{service}/instances/{instance}", document)[0]

    def beat(self, service: str, instance: str) -> int:
        """A heartbeat; the status."""
        return self.ask("POST", f"/services/{service}/instances/{instance}/heartbeat")[0]

    def delete(self, service: str, instance: str) -> int:
        """Take an instance out; the status."""
        return self.ask("DELETE", f"/services/{service}/instances/{instance}")[0]

    def force(self, service: str, state: str, instance: str = "") -> int:
        """Decide about a breaker; the status."""
        middle = f"/instances/{instance}" if instance else ""
        return self.ask("PUT", f"/services/{service}{middle}/breaker", {"state": state})[0]

    def service(self, name: str = "s") -> View:
        """A service as `/services` shows it."""
        return self.ask("GET", f"/services/{name}")[1]

    def instances(self, name: str = "s") -> Mapping[str, View]:
        """A service's instances that are not on their way out, by id."""
        return {each["id"]: each for each in self.service(name)["instances"] if each["state"] != "draining"}


def facts(operator: Operator, name: str = "s") -> dict[str, tuple[Any, ...]]:
    """What every gateway must say alike about the instances of a service."""
    return {
        id_: (each["url"], each["weight"], each["zone"], each["version"], tuple(each["tags"]))
        for id_, each in operator.instances(name).items()
    }
