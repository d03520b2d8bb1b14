"""The 105 attributes of PETA (Deng et al., ACM MM 2014), in the order of PETA.mat."""

import re

from passerby.data.schema import Attribute, Schema

_COLOURS = [
    "Black",
    "Blue",
    "Brown",
    "Green",
    "Grey",
    "Orange",
    "Pink",
    "Purple",
    "Red",
    "White",
    "Yellow",
]
_FIRST = [
    "personalLess30",
    "personalLess45",
    "personalLess60",
    "personalLarger60",
    "carryingBackpack",
    "carryingOther",
    "lowerBodyCasual",
    "upperBodyCasual",
    "lowerBodyFormal",
    "upperBodyFormal",
    "accessoryHat",
    "upperBodyJacket",
    "lowerBodyJeans",
    "footwearLeatherShoes",
    "upperBodyLogo",
    "hairLong",
    "personalMale",
    "carryingMessengerBag",
    "accessoryMuffler",
    "accessoryNothing",
    "carryingNothing",
    "upperBodyPlaid",
    "carryingPlasticBags",
    "footwearSandals",
    "footwearShoes",
    "lowerBodyShorts",
    "upperBodyShortSleeve",
    "lowerBodyShortSkirt",
    "footwearSneaker",
    "upperBodyThinStripes",
    "accessorySunglasses",
    "lowerBodyTrousers",
    "upperBodyTshirt",
    "upperBodyOther",
    "upperBodyVNeck",
]
_LAST = [
    "accessoryHeadphone",
    "personalLess15",
    "carryingBabyBuggy",
    "hairBald",
    "footwearBoots",
    "lowerBodyCapri",
    "carryingShoppingTro",
    "carryingUmbrella",
    "personalFemale",
    "carryingFolder",
    "accessoryHairBand",
    "lowerBodyHotPants",
    "accessoryKerchief",
    "lowerBodyLongSkirt",
    "upperBodyLongSleeve",
    "lowerBodyPlaid",
    "lowerBodyThinStripes",
    "carryingLuggageCase",
    "upperBodyNoSleeve",
    "hairShort",
    "footwearStocking",
    "upperBodySuit",
    "carryingSuitcase",
    "lowerBodySuits",
    "upperBodySweater",
    "upperBodyThickStripes",
]
_PARTS = {
    "upperBody": "{} top",
    "lowerBody": "{} bottom",
    "hair": "{} hair",
    "footwear": "{} on the feet",
    "carrying": "carries {}",
    "accessory": "wears {}",
    "personal": "{}",
}


def _phrase(name: str) -> str:
    part = next(part for part in _PARTS if name.startswith(part))
    words = re.sub(r"(?<=[a-z])(?=[A-Z0-9])", " ", name.removeprefix(part)).lower()
    return _PARTS[part].format(words)


PETA_ATTRIBUTES = Schema(
    tuple(
        Attribute(name, _phrase(name))
        for name in (
            *_FIRST,
            *(
                part + colour
                for part in ("upperBody", "lowerBody", "hair", "footwear")
                for colour in _COLOURS
            ),
            *_LAST,
        )
    ),
    "peta",
)

LEFT_OUT = frozenset({"accessoryFaceMask", "accessoryShawl", "lowerBodyLogo"})
"""Rare tokens of the text files that PETA.mat leaves out."""

SPELLINGS = {"footwearSneakers": "footwearSneaker"}
"""Of the text files to those of PETA.mat."""
