"""Collecting what is wrong with a dataset: strict readers stop at it, `describe` lists it."""

from dataclasses import dataclass, field

from passerby.errors import InputError


@dataclass
class Problems:
    """What a reader found wrong, one sentence each, in the order found."""

    found: list[str] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        self.found.append(sentence)

    def raise_first(self) -> None:
        """Raise the first problem, and say how many more there are.

        Raises:
            InputError: there is a problem.
        """
        if not self.found:
            return
        first, *others = self.found
        more = f" ({len(others)} more: see `passerby data describe`.)" if others else ""
        raise InputError(first + more)


def list_few(values: list[str], most: int = 3) -> str:
    """Return 'a, b, c and 4 more'."""
    shown = ", ".join(values[:most])
    rest = len(values) - most
    return f"{shown} and {rest} more" if rest > 0 else shown
