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
    "footwear": "{}",
    "carrying": "carries {}",
    "accessory": "wears {}",
    "personal": "{}",
}
_PHRASES = {
    # each class of age begins where the one before ends
    "personalLess15": "15 or under",
    "personalLess30": "16 to 30",
    "personalLess45": "31 to 45",
    "personalLess60": "46 to 60",
    "personalLarger60": "over 60",
    "accessoryNothing": "no accessory",
    "accessoryHeadphone": "wears headphones",
    "accessoryHairBand": "wears a hair band",
    "carryingOther": "carries something else",
    "carryingShoppingTro": "pushes a shopping trolley",
    "carryingBabyBuggy": "pushes a baby buggy",
    "carryingLuggageCase": "carries a luggage case",
    "carryingUmbrella": "carries an umbrella",
    "footwearSneaker": "sneakers",
    "footwearStocking": "stockings",
    "hairBald": "bald",
    "lowerBodyCapri": "capri trousers",
    "lowerBodyHotPants": "hot pants",
    "lowerBodyJeans": "jeans",
    "lowerBodyLongSkirt": "long skirt",
    "lowerBodyShortSkirt": "short skirt",
    "lowerBodyShorts": "shorts",
    "lowerBodySuits": "suit bottom",
    "lowerBodyTrousers": "trousers",
    "upperBodyJacket": "jacket",
    "upperBodyLogo": "top with a logo",
    "upperBodyLongSleeve": "long sleeve",
    "upperBodyNoSleeve": "no sleeve",
    "upperBodyOther": "other top",
    "upperBodyShortSleeve": "short sleeve",
    "upperBodySuit": "suit top",
    "upperBodySweater": "sweater",
    "upperBodyTshirt": "T-shirt",
    "upperBodyVNeck": "V-neck top",
    **{f"carrying{one}": f"carries a {one.lower()}" for one in ("Backpack", "Folder", "Suitcase")},
    "carryingMessengerBag": "carries a messenger bag",
    "lowerBodyThinStripes": "bottom with thin stripes",
    "upperBodyThinStripes": "top with thin stripes",
    "upperBodyThickStripes": "top with thick stripes",
    **{f"accessory{one}": f"wears a {one.lower()}" for one in ("Hat", "Kerchief", "Muffler")},
}
"""Where the words of the name alone would not do."""


def _phrase(name: str) -> str:
    if name in _PHRASES:
        return _PHRASES[name]
    part = next(part for part in _PARTS if name.startswith(part))
    words = re.sub(r"(?<=[a-z])(?=[A-Z0-9])", " ", name.removeprefix(part)).lower()
    if part == "footwear" and name.removeprefix(part) in _COLOURS:
        words += " footwear"
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
