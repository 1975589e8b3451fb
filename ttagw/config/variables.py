"""`${NAME}` in the strings of a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ttagw.config.faults import Finding, Key

_SECRET = 12
"""Characters from which on a value is hidden wherever it is part of a word."""

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")


class Variables:
    """Fills in what the environment says: `${NAME}`, or `${NAME:-default}`; `$${` stands for `${`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.findings: list[Finding] = []
        """What could not be filled in."""
        self._filled: dict[Key, tuple[str, str]] = {}
        self._taken: dict[str, str] = {}

    def fill(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with all of its strings filled in."""
        return {name: self._fill(value, (name,)) for name, value in document.items()}

    def hide(self, key: Key, message: str) -> str:
        """A sentence about a key, with what stands in the file instead of what came from the environment."""
        for place, (value, written) in self._filled.items():
            if value and (place[: len(key)] == key or key[: len(place)] == place):
                message = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", written.replace("\\", r"\\"), message)
        for value, name in self._taken.items():
            # Also in sentences about other keys, and as a part of a word unless it is short.
            pattern = re.escape(value) if len(value) >= _SECRET else rf"(?<!\w){re.escape(value)}(?!\w)"
            message = re.sub(pattern, f"${{{name}}}", message)
        return message

    def _fill(self, value: Any, key: Key) -> Any:
        if isinstance(value, dict):
            return {name: self._fill(each, (*key, name)) for name, each in value.items()}
        if isinstance(value, list):
            return [self._fill(each, (*key, index)) for index, each in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        filled = _VARIABLE.sub(lambda match: self._one(match, key), value)
        self._filled[key] = (filled, value)
        return filled

    def _one(self, match: re.Match[str], key: Key) -> str:
        if match.group() == "$${":
            return "${"
        name, default = match[1], match[2]
        if name is None or (default is not None and "${" in default):
            self.findings.append(
                (key, "expected ${NAME} or ${NAME:-default}; a ${ that is meant as text is written $${")
            )
            return ""
        found = self._environ.get(name)
        if found:
            self._taken[found] = name
        elif found is None:
            found = default
        if found is None:
            self.findings.append((key, f"the environment variable {name} is not set, and there is no default for it"))
            return ""
        return found
