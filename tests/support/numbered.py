"""Tables of crops from numbers, as hand-written examples have them."""

from collections.abc import Iterable

from passerby.data import Crops

_ROLES = {-1: "junk", 0: "distractor"}


def numbered(persons: Iterable[int] | None, cameras: Iterable[int] | None = None) -> dict:
    """Return the columns of crops: persons from 1 on, 0 a distractor, -1 junk.

    Names have four digits, so that they sort as the numbers do.
    """
    columns: dict = {}
    if persons is not None:
        known = [int(person) for person in persons]
        columns["person"] = [f"{person:04d}" if person > 0 else "" for person in known]
        if min(known, default=1) < 1:
            columns["role"] = [_ROLES.get(person, "") for person in known]
    if cameras is not None:
        columns["camera"] = [str(int(camera)) for camera in cameras]
    return columns


def numbers(crops: Crops) -> list[int]:
    """Return what `numbered` was given as persons."""
    codes = {role: code for code, role in _ROLES.items()}
    roles = [""] * len(crops) if crops.role is None else crops.role.tolist()
    return [codes.get(r) if r else int(p) for p, r in zip(crops.person, roles, strict=True)]
