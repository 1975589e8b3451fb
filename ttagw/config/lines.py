"""On which line of a TOML file a key stands; `tomllib` does not say.

The text has been parsed already, so this scanner only has to find its way through valid TOML 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"[A-Za-z0-9_-]+|'[^'\n]*'|\"(?:[^\"\\\n]|\\.)*\"")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}\n#]+")


class Lines:
    """The lines of all keys of a TOML document."""

    def __init__(self, text: str) -> None:
        self._found: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._arrays: dict[Path, int] = {}
        self._line = 1
        self._counted = 0
        self._scan()

    def of(self, path: Sequence[str | int]) -> int:
        """The line (from 1) of a key, or of the nearest table around it that has one."""
        known = tuple(path)
        while known:
            line = self._found.get(known)
            if line is not None:
                return line
            known = known[:-1]
        return 1

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found is not None else self._at

    def _starts(self, token: str) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def _scan(self) -> None:
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._starts("[["):
                table = self._header(array=True)
            elif self._starts("["):
                table = self._header(array=False)
            else:
                self._pair(table)
            self._skip()

    def _header(self, *, array: bool) -> Path:
        line = self._here()
        self._skip()
        *outer, last = self._key()
        self._skip()
        self._starts("]]" if array else "]")
        path: Path = ()
        for name in outer:
            path = (*path, name)
            self._found.setdefault(path, line)
            path = self._inside(path)
        path = (*path, last)
        if array:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self._found.setdefault(path, line)
            path = self._inside(path)
        self._found.setdefault(path, line)
        return path

    def _inside(self, path: Path) -> Path:
        """The last element, where the path is an array of tables."""
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            found = _KEY.match(self._text, self._at)
            if found is None:
                return names
            self._at = found.end()
            names.append(_plain(found.group()))
            dot = _DOT.match(self._text, self._at)
            if dot is None:
                return names
            self._at = dot.end()

    def _pair(self, table: Path) -> None:
        line = self._here()
        before = self._at
        path = table
        for name in self._key():
            path = (*path, name)
            self._found.setdefault(path, line)
        self._skip()
        self._starts("=")
        self._skip()
        self._value(path)
        if self._at == before:
            self._at += 1  # cannot be in valid TOML; never stand still

    def _value(self, path: Path) -> None:
        if self._starts("["):
            self._array(path)
        elif self._starts("{"):
            self._inline(path)
        else:
            found = _STRING.match(self._text, self._at) or _BARE.match(self._text, self._at)
            if found is not None:
                self._at = found.end()

    def _array(self, path: Path) -> None:
        index = 0
        self._skip()
        while self._at < len(self._text) and not self._starts("]"):
            self._found.setdefault((*path, index), self._here())
            self._value((*path, index))
            self._skip()
            self._starts(",")
            self._skip()
            index += 1

    def _inline(self, path: Path) -> None:
        self._skip()
        while self._at < len(self._text) and not self._starts("}"):
            self._pair(path)
            self._skip()
            self._starts(",")
            self._skip()


def _plain(name: str) -> str:
    if name[0] == "'":
        return name[1:-1]
    if name[0] != '"':
        return name
    return re.sub(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", _unescape, name[1:-1])


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "uU":
        return chr(int(code[1:], 16))
    return {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}.get(code, code)
