"""Protocols: which crops are queries, which are the gallery, and what does not count."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import DISTRACTOR, Crops
from passerby.errors import InputError

ProtocolName = Literal["course", "market"]
PROTOCOLS: tuple[str, ...] = get_args(ProtocolName)


@dataclass(frozen=True)
class Protocol:
    """How a re-identification is scored.

    Attributes:
        name: "course": one random crop of each person asks, all others are searched, cameras are
            ignored; "market": one random crop of each person and camera asks, all others are
            searched, and what the query's own camera saw of its person does not count (Zheng et
            al., ICCV 2015). Of a person of whom every crop would ask, one stays behind.
        leave_out_same_camera: whether the latter is left out.
        seed: of the random crops.
    """

    name: ProtocolName
    leave_out_same_camera: bool
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise InputError(
                f"There is no protocol {self.name!r}: choose from {', '.join(PROTOCOLS)}."
            )

    @classmethod
    def named(cls, name: str, cameras: str | None = None, seed: int = 0) -> "Protocol":
        """Return a protocol.

        Args:
            name: "course" or "market".
            cameras: "ignored" or "cross" (matches within a camera are left out); as the protocol
                says if left out.
            seed: of the random crops.

        Raises:
            InputError: there is no such protocol or treatment of cameras.
        """
        if cameras not in (None, "ignored", "cross"):
            raise InputError(f"--cameras is {cameras!r}: choose 'ignored' or 'cross'.")
        cross = name == "market" if cameras is None else cameras == "cross"
        return cls(name, cross, seed)  # type: ignore[arg-type]

    def check(self, *parts: Crops) -> None:
        """Check that crops, or queries and gallery, can be scored this way.

        Raises:
            InputError: cameras are needed and there are none, or there is one only, so that
                nothing would count.
        """
        if not self.leave_out_same_camera:
            return
        if len(np.unique(np.concatenate([part.known_cameras for part in parts]))) < 2:
            raise InputError(
                "All crops are of one camera, so leaving out matches within a camera leaves "
                "nothing: evaluate with --cameras ignored."
            )

    def split(self, crops: Crops) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Divide crops into queries and gallery.

        Returns:
            Rows of the queries, ordered by person, and rows of the gallery.

        Raises:
            InputError: there is nobody to ask for, or cameras are needed and there are none.
        """
        persons = crops.known_persons
        self.check(crops)
        by_camera = self.name == "market" and crops.cameras is not None
        cameras = crops.cameras if by_camera else np.zeros_like(persons)
        shuffled = np.random.default_rng(self.seed).permutation(len(crops))
        keys = np.stack([persons, cameras], axis=1)[shuffled]  # type: ignore[list-item]
        groups, first = np.unique(keys, axis=0, return_index=True)
        queries = shuffled[first[groups[:, 0] > DISTRACTOR]]
        queries = queries[~_last_without_others(persons, queries)]
        if not len(queries):
            raise InputError(
                "Nobody appears in two crops, so there is nobody to find again: give crops of "
                "persons seen several times."
            )
        return queries, np.setdiff1d(np.arange(len(crops)), queries)


def _last_without_others(
    persons: NDArray[np.int64], queries: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which queries would leave no crop of their person in the gallery, the last of each."""
    ids, crops = np.unique(persons, return_counts=True)
    asked = persons[queries]
    asking = np.array([np.count_nonzero(asked == person) for person in ids])
    nobody_left = np.isin(asked, ids[crops == asking])
    # queries are ordered by person
    last = np.ones(len(asked), np.bool_)
    last[:-1] = asked[1:] != asked[:-1]
    return nobody_left & last
