"""What `pip install passerby` without extras brings along."""

from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from passerby.cli.extras import EXTRAS

RUNTIME_LIMIT_MB = 250


def closure(name: str, seen: set[str]) -> set[str]:
    """Return the distributions that one needs, itself among them, without extras."""
    seen.add(name)
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and canonicalize_name(requirement.name) not in seen:
            closure(canonicalize_name(requirement.name), seen)
    return seen


def test_extras_are_looked_for_whole() -> None:
    """Each module that a command looks for, and no other, belongs to the extra."""
    owners = packages_distributions()
    for extra, modules in EXTRAS.items():
        found = {canonicalize_name(owners[module][0]) for module in modules}
        wanted = {
            canonicalize_name(requirement.name)
            for requirement in map(Requirement, distribution("passerby").requires or [])
            if requirement.marker and requirement.marker.evaluate({"extra": extra})
        }
        assert found == wanted


def size_mb(name: str) -> float:
    files = distribution(name).files or []
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def test_the_runtime_stays_small_and_without_torch() -> None:
    needed = closure("passerby", set())
    assert {"numpy", "onnxruntime", "pillow"} <= needed
    assert not {"torch", "timm", "pandas", "scipy", "matplotlib"} & needed
    assert sum(size_mb(name) for name in needed - {"passerby"}) < RUNTIME_LIMIT_MB
