"""Saying which extra a command needs when it is not installed."""

from importlib.util import find_spec

from passerby.errors import InputError


def require(extra: str, module: str) -> None:
    """Check that an extra of the package is installed.

    Raises:
        InputError: it is not.
    """
    if find_spec(module) is None:
        raise InputError(
            f"This command needs the extra {extra!r}, which is not installed: "
            f"pip install 'passerby[{extra}]' (in a clone: pip install '.[{extra}]')."
        )
