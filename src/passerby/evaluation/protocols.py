"""Protocols: which crops are queries, which are the gallery, and what does not count."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from passerby.data.crops import Crops, encode_cameras
from passerby.errors import InputError
from passerby.ranking.queries import draw_queries

ProtocolName = Literal["course", "market"]
PROTOCOLS: tuple[str, ...] = get_args(ProtocolName)


@dataclass(frozen=True)
class EvaluationProtocol:
    """How a re-identification is scored.

    Attributes:
        name: "course": one random crop of each person asks, all others are searched, cameras are
            ignored; "market": one random crop of each person and camera asks, all others are
            searched, and what the query's own camera saw of its person does not count (Zheng et
            al., ICCV 2015). Of a person of whom every crop would ask, one stays behind. Where a
            camera is unknown, and cameras are ignored, one crop of each person asks.
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
    def named(cls, name: str, cameras: str | None = None, seed: int = 0) -> "EvaluationProtocol":
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
            raise InputError(f"`cameras` is {cameras!r}: choose 'ignored' or 'cross'.")
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
        codes = np.concatenate(encode_cameras(*parts))
        if len(np.unique(codes[codes > 0])) < 2:
            raise InputError(
                "All crops are of one camera, so leaving out matches within a camera leaves "
                "nothing: evaluate with `cameras` = ignored."
            )

    def split(self, crops: Crops) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Divide crops into queries and gallery.

        Returns:
            Rows of the queries, ordered by person, and rows of the gallery.

        Raises:
            InputError: there is nobody to ask for, or cameras are needed and there are none.
        """
        self.check(crops)
        cameras = encode_cameras(crops)[0] if self.name == "market" and has_cameras(crops) else None
        return draw_queries(crops.person_codes, cameras, self.seed)


def has_cameras(crops: Crops) -> bool:
    """Tell whether the camera of every crop of a named person is known."""
    if crops.camera is None:
        return False
    return crops.person is None or bool(((crops.person == "") | (crops.camera != "")).all())
