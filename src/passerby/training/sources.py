"""The datasets that a recipe trains on."""

from collections.abc import Sequence
from pathlib import Path

from passerby.data.crops import Crops
from passerby.datasets.joining import Source, in_schema, join, read_source
from passerby.errors import InputError
from passerby.inference.leakage import hash_files
from passerby.training.recipe import DataSection, SetSection

Data = Path | Crops | Source
"""A dataset: its folder or manifest, its crops, or both with what is known of them."""


def read_sources(section: DataSection, data: Data | Sequence[Data]) -> list[Source]:
    """Read what a recipe trains on; several datasets are made to fit together.

    Args:
        section: `data` of the recipe. If it names sets, they lie below the one folder given.
        data: one dataset or several.

    Raises:
        InputError: a dataset is not as it has to be, or two do not fit together, or hold the same
            picture.
    """
    given = [data] if isinstance(data, Path | Crops | Source) else list(data)
    if section.sets:
        if len(given) != 1 or not isinstance(given[0], Path):
            raise InputError(
                "The recipe names its datasets in data.sets: give the one folder below which they "
                "lie."
            )
        sources = [_read_set(given[0], entry) for entry in section.sets]
    else:
        sources = [_read(one) for one in given]
    if not sources:
        raise InputError("No dataset to train on is given: name one.")
    if len(sources) == 1:
        return [in_schema(sources[0], section.attributes)] if section.attributes else sources
    joined = join(sources, section.attributes)
    _check_copies(joined)
    return joined


def _check_copies(sources: Sequence[Source]) -> None:
    """Check that no two datasets hold the same picture, under whatever name."""
    owner: dict[tuple[int, bytes], tuple[Source, Path]] = {}
    for source in sources:
        boxes = [b""] * len(source.crops) if source.crops.box is None else source.crops.box
        for content, box, path in zip(
            hash_files(source.crops).tolist(), boxes, source.crops.paths, strict=True
        ):
            before = owner.setdefault((content, bytes(box)), (source, path))
            if before[0] is not source:
                raise InputError(
                    f"{before[0].title} and {source.title} hold the same picture, {before[1]} and "
                    f"{path}: give each once, or persons are taken for two."
                )


def _read_set(base: Path, entry: SetSection) -> Source:
    return read_source(
        base / entry.path,
        entry.splits,
        root=entry.root,
        pattern=entry.pattern,
        accept_missing=entry.accept_missing,
        mapping=entry.mapping,
    )


def _read(data: Data) -> Source:
    if isinstance(data, Source):
        return data
    return Source("these crops", data) if isinstance(data, Crops) else read_source(data)
