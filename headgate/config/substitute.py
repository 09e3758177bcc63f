"""`${NAME}`, `${NAME:-default}` and `${file:PATH}` inside a value. Owns the only reading of secrets from outside.

No message may contain what was read: it names the variable or the file instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

MAX_SECRET_BYTES = 65_536
_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Unresolved(Exception):
    """A placeholder has no value. `message` says which one, `hint` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Substitution:
    """Replaces placeholders by values from the environment and from files below or beside the configuration."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        self._directory = directory  # what a relative PATH starts from: where the configuration file is

    def resolve(self, text: str) -> str:
        """The text with all placeholders replaced; `$${` stands for `${` itself. Raises Unresolved."""
        return _PLACEHOLDER.sub(self._value, text)

    def _value(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        inside = match[1]
        if inside is None:
            raise Unresolved("${ is not closed, or contains another ${", "write ${NAME}, or $${ for the text ${ itself")
        if inside.startswith("file:"):
            return self._file(inside.removeprefix("file:"))
        variable = _VARIABLE.fullmatch(inside)
        if variable is None:
            raise Unresolved(f"${{{inside}}} is not a placeholder", "write ${NAME}, ${NAME:-default} or ${file:PATH}")
        name, default = variable[1], variable[2]
        value = self._environ.get(name, "")
        if value:
            return value
        if default is None:
            state = "empty" if name in self._environ else "not set"
            hint = f"export {name}, or give a default with ${{{name}:-default}}"
            raise Unresolved(f"the environment variable {name} is {state}", hint)
        return default

    def _file(self, name: str) -> str:
        """The text of a small file without its final line break."""
        path = self._directory / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
            text = content.decode()
        except UnicodeDecodeError:
            raise Unresolved(f"the file {name} is not UTF-8 text", "a secret is one line of text") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a file name"
            hint = "a relative path starts from the folder of the configuration file"
            raise Unresolved(f"the file {name} cannot be read: {reason}", hint) from None
        if len(content) > MAX_SECRET_BYTES:
            raise Unresolved(f"the file {name} is larger than {MAX_SECRET_BYTES:,} bytes", "is it the right file?")
        return text.removesuffix("\n").removesuffix("\r")
