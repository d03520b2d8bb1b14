"""Collecting what is wrong with a dataset: strict readers stop at it, `describe` lists it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from passerby.errors import InputError


@dataclass
class Problems:
    """What a reader found wrong, one sentence each, in the order found.

    Attributes:
        found: what has to be fixed.
        remarks: what is worth knowing and stops nobody.
        accept_missing: whether what is not there, such as images, is only a remark.
    """

    found: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    accept_missing: bool = False

    def add(self, sentence: str) -> None:
        self.found.append(sentence)

    def add_missing(self, what: str, cure: str = "add them") -> None:
        """Add a problem that is only a remark, without its cure, where `accept_missing` is set.

        The reader leaves out what is missing, in any case.
        """
        if self.accept_missing:
            self.remarks.append(f"{what}; they are left out.")
        else:
            self.found.append(f"{what}: {cure}, or set `accept_missing`.")

    def remark(self, sentence: str) -> None:
        self.remarks.append(sentence)

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


def list_few(values: Sequence[str], most: int = 3) -> str:
    """Return 'a, b, c and 4 more'."""
    shown = ", ".join(values[:most])
    rest = len(values) - most
    return f"{shown} and {rest:,} more" if rest > 0 else shown
