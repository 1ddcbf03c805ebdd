"""The query of an address, where a name may come several times. Pure."""

from __future__ import annotations

from collections.abc import Iterable

TRUE, FALSE = ("true", "1"), ("false", "0", "")


class Query:
    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """pairs: names and values in their order, as `request.query.items()` has them."""
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        """Each name once, in their order."""
        return list(self._values)

    def get(self, name: str, default: str = "") -> str:
        """The first value."""
        return self._values.get(name, [default])[0]

    def all(self, name: str) -> list[str]:
        """All values in their order."""
        return list(self._values.get(name, ()))

    def flag(self, name: str) -> bool | None:
        """True for `true`, `True` and `1`; None for a value that is neither true nor false."""
        text = self.get(name).lower()
        return True if text in TRUE else False if text in FALSE else None
