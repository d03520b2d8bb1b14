"""The datasets that can be read, by name; others register theirs.

A dataset is one module with one class and one entry here, or one call of `register_dataset`
outside the package.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from passerby.data.crops import Crops
from passerby.datasets.problems import Problems
from passerby.errors import InputError


class Dataset(Protocol):
    """A named reader of one layout.

    Attributes:
        name: in commands, queries and JSON; also in the column `dataset`, where it has one.
        title: for people.
        layout: how its folder looks, in one line.
        terms: of use, one sentence; empty for layouts that anybody's files may have.
        splits: that it has.
        scored: the splits that its standard protocol scores: queries and gallery, or one.
        protocol: "course" (one random query of each person against all others), "market"
            (matches within a camera do not count) or "attributes" (by image, without persons).

    One whose annotation lies among the crops names it in an attribute `files`, so that
    `passerby data describe` does not call it unread.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def layout(self) -> str: ...
    @property
    def terms(self) -> str: ...
    @property
    def splits(self) -> tuple[str, ...]: ...
    @property
    def scored(self) -> tuple[str, ...]: ...
    @property
    def protocol(self) -> str: ...

    def recognizes(self, folder: Path) -> bool:
        """Tell whether a folder, or a file, has this layout; it need not be complete."""

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read one of its splits as far as it can be read, and add what is wrong to `problems`."""


@runtime_checkable
class PlaceDependent(Protocol):
    """A dataset whose splits depend on what is in the place, as those of a manifest do."""

    def at(self, place: Path) -> Dataset:
        """Return the dataset of one place."""


@runtime_checkable
class MaybePartial(Protocol):
    """A dataset of which some splits may be left out, as the course's queries may be."""

    def present(self, folder: Path) -> tuple[str, ...]:
        """Return those of its splits that are there."""


_DATASETS: dict[str, Dataset] = {}
_REFINED: dict[str, frozenset[str]] = {}
"""Name of a dataset to the names of those that it takes precedence over."""
_GENERIC: set[str] = set()


def register_dataset(
    dataset: Dataset, *, refines: Sequence[str] = (), generic: bool = False
) -> None:
    """Make a dataset known: from now on its layout is recognised everywhere.

    Args:
        dataset: the reader.
        refines: names of datasets whose layouts its own includes: where both fit, it is meant.
        generic: whether its layout is so common that it is meant only where no other fits;
            those are tried in the order of their registration.

    Raises:
        ValueError: there is one of that name.
    """
    _register_shipped()
    _add(dataset, refines, generic)


def unregister_dataset(name: str) -> None:
    """Forget a dataset."""
    del _DATASETS[name], _REFINED[name]
    _GENERIC.discard(name)


def known_datasets() -> dict[str, Dataset]:
    """Return all datasets by name, in the order in which they were registered."""
    _register_shipped()
    return dict(_DATASETS)


def is_generic(name: str) -> bool:
    """Tell whether the layout of a dataset is meant only where no other fits."""
    return name in _GENERIC


def recognize(folder: Path) -> Dataset:
    """Return the dataset whose layout a folder, or a file, has.

    Raises:
        InputError: it has none that is known, or two.
    """
    known = known_datasets()
    fitting = [name for name in known if name not in _GENERIC and known[name].recognizes(folder)]
    refined = frozenset[str]().union(*(_REFINED[name] for name in fitting))
    fitting = [name for name in fitting if name not in refined]
    if len(fitting) > 1:
        first, second = (known[name] for name in fitting[:2])
        raise InputError(
            f"{folder} has two layouts, {first.title} ({first.layout}) and {second.title} "
            f"({second.layout}): move one of them to a folder of its own."
        )
    if not fitting:
        generic = (name for name in known if name in _GENERIC and known[name].recognizes(folder))
        fitting = list(generic)[:1]
    if not fitting:
        from passerby.datasets.unrecognized import explain_layout

        raise InputError(explain_layout(folder))
    dataset = known[fitting[0]]
    return dataset.at(folder) if isinstance(dataset, PlaceDependent) else dataset


def present_splits(dataset: Dataset, folder: Path) -> tuple[str, ...]:
    """Return those splits of a dataset that a folder holds."""
    return dataset.present(folder) if isinstance(dataset, MaybePartial) else dataset.splits


def _register_shipped() -> None:
    if _DATASETS:
        return
    # here, since the readers import this module
    from importlib import import_module

    special = (
        ("manifest", "Manifest"),
        ("cuhk03", "CUHK03"),
        ("peta", "PETA"),
        ("pa100k", "PA100K"),
        ("market1501", "Market1501"),
        ("course", "Course"),
    )
    generic = (
        ("track_folders", "TrackFolders"),
        ("person_folders", "PersonFolders"),
        ("plain", "Plain"),
    )
    for module, name in (*special, *generic):
        reader = getattr(import_module(f"passerby.datasets.{module}"), name)
        _add(reader(), generic=(module, name) in generic)


def _add(dataset: Dataset, refines: Sequence[str] = (), generic: bool = False) -> None:
    if dataset.name in _DATASETS:
        raise ValueError(f"there is a dataset {dataset.name!r} already")
    _DATASETS[dataset.name] = dataset
    _REFINED[dataset.name] = frozenset(refines)
    if generic:
        _GENERIC.add(dataset.name)
