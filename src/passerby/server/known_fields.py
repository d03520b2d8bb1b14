"""Refusing misspelt fields of forms: what is not known would be ignored otherwise."""

import difflib

from fastapi import Request
from fastapi.dependencies.models import Dependant

from passerby.errors import InputError


async def known_fields_only(request: Request) -> None:
    """Check the form of a request, as a dependency of its endpoint.

    Raises:
        InputError: it has a field that the endpoint does not know; the nearest known one is named.
    """
    known = _fields(request.scope["route"].dependant)
    for name in await request.form():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
            raise InputError(f"{name[:80]!r} is not a field of this request: {hint}")


def _fields(dependant: Dependant) -> list[str]:
    """Return the fields of a form that an endpoint takes, and what it depends on."""
    own = [field.alias for field in dependant.body_params]
    return own + [name for part in dependant.dependencies for name in _fields(part)]
