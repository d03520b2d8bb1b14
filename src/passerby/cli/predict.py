"""`passerby predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.console import out, print_json, progress_bar, say
from passerby.cli.data_options import ACCEPT_MISSING, PATTERN, ROOT, SPLIT
from passerby.cli.model_option import BACKEND, DEVICE, MODEL
from passerby.cli.reading import choose_split, read_data
from passerby.cli.skipping import skip_or_stop

if TYPE_CHECKING:
    from passerby.calibration import Matcher
    from passerby.inference import ModelInfo


def predict(
    crops: Annotated[Path, typer.Argument(help="One image, or a folder of crops.")],
    model: MODEL = None,
    backend: BACKEND = "onnxruntime",
    device: DEVICE = "cpu",
    target: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The CSV file to write; classification_test.csv for a folder if left out.",
        ),
    ] = None,
    split: SPLIT = None,
    root: ROOT = None,
    pattern: PATTERN = None,
    accept_missing: ACCEPT_MISSING = False,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror images.")] = False,
    pool: Annotated[
        bool,
        typer.Option("--pool", help="Average over all crops that probably show the same person."),
    ] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out crops that cannot be decoded.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Predict attributes: a readable table for one image, a CSV file for many."""
    from passerby.data.decoding import is_image_name
    from passerby.errors import InputError
    from passerby.files import check_no_input, check_writable, write_text
    from passerby.inference import RuntimeModel, check_attributes, find_model
    from passerby.reporting.predictions import prediction_csv, prediction_table

    single = crops.is_file() and is_image_name(crops)
    if pool and single:
        raise InputError("--pool averages over many crops: give a folder, or leave it out.")
    if target is None and not (single or json):
        target = Path("classification_test.csv")
    if target is not None:
        check_writable(target)
    part = choose_split(crops, split, "gallery", "test", pattern=pattern)
    found = read_data(crops, part, root, pattern, accept_missing)
    folder = find_model(model)
    if target is not None:
        check_no_input(target, [*found.paths, *folder.iterdir()])
    runtime = RuntimeModel.load(folder, backend=backend, device=device)
    schema = check_attributes(runtime.info)
    known = _calibrated(runtime.info) if pool else None
    with progress_bar("Predicting") as progress:
        embeddings = runtime.embed(
            found,
            flip=flip,
            on_broken=skip_or_stop(skip_broken),
            on_remark=say,
            progress=progress,
        )
    if known is not None:
        embeddings = known.pool(embeddings)
    if target is not None:
        write_text(target, prediction_csv(embeddings, runtime.info.decision))
        say(f"Attributes of {len(embeddings)} crops written to {target}.")
    if json:
        rows = zip(embeddings.crops.addresses, embeddings.known_attributes.tolist(), strict=True)
        print_json({key: dict(zip(schema.names, values, strict=True)) for key, values in rows})
    elif single:
        out.print(prediction_table(embeddings, runtime.info.decision))


def _calibrated(info: "ModelInfo") -> "Matcher":
    from passerby.calibration import choose_matcher
    from passerby.errors import InputError

    matcher = choose_matcher(info)
    if matcher.calibration is None:
        raise InputError(
            "--pool has to know which crops show one person, but the model's distances are not "
            "calibrated: see passerby calibrate, or leave it out."
        )
    return matcher
