"""`passerby explain`."""

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.console import say
from passerby.cli.extras import require
from passerby.cli.model_option import MODEL


def explain(
    image: Annotated[Path, typer.Argument(help="One crop.")],
    model: MODEL = None,
    target: Annotated[Path, typer.Option("--out", help="The picture to write, PNG.")] = Path(
        "explanation.png"
    ),
    attributes: Annotated[
        str | None, typer.Option(help="Attributes to show, with commas; all if left out.")
    ] = None,
) -> None:
    """Show where in a crop the model found each attribute: where covering it costs the most."""
    require("train")
    import numpy as np

    from passerby.data.decoding import decode
    from passerby.files import check_no_input, check_writable
    from passerby.inference import check_attributes, find_model
    from passerby.inference.model_info import read_model_info
    from passerby.models import load_person_model
    from passerby.models.attribute_maps import attribute_maps
    from passerby.reporting.explanation import write_explanation

    folder = find_model(model)
    info = read_model_info(folder)
    schema = check_attributes(info)
    shown = None if attributes is None else [name.strip() for name in attributes.split(",")]
    for name in shown or ():
        schema.index(name)
    check_writable(target)
    check_no_input(target, [image, *folder.iterdir()])
    crop = decode(image)
    found = attribute_maps(load_person_model(folder), crop)
    present = info.decision.labels(found.probabilities[None], schema)[0]
    for place in schema.groups.values():
        # as `predict` writes it: one age and one colour under every rule
        present[place] = np.arange(place.stop - place.start) == found.probabilities[place].argmax()
    write_explanation(target, crop, schema, found.probabilities, present, found.maps, shown)
    say(f"Written to {target}: names of what the model sees are bold.")
