"""Saying which extra a command needs when it is not installed."""

from importlib.util import find_spec

from passerby.errors import InputError

EXTRAS = {
    "train": (
        "accelerate",
        "captum",
        "jinja2",
        "matplotlib",
        "onnx",
        "onnxscript",
        "psutil",
        "pytorch_metric_learning",
        "safetensors",
        "sklearn",
        "scipy",
        "tensorboard",
        "timm",
        "torch",
        "torchvision",
    ),
    "gallery": (
        "anyio",
        "fastapi",
        "jinja2",
        "lancedb",
        "prometheus_client",
        "psutil",
        "pyarrow",
        "python_multipart",
        "uvicorn",
    ),
    "ray": ("pyarrow", "ray"),
}
"""The modules that an extra brings along."""


def require(extra: str) -> None:
    """Check that an extra of the package is installed, all of it: torch may be there alone.

    Raises:
        InputError: it is not.
    """
    missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if missing:
        raise InputError(
            f"This command needs the extra {extra!r}, of which {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed: pip install "
            f"'passerby[{extra}]' (in a clone: pip install '.[{extra}]')."
        )
