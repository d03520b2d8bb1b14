"""What runs a model's network. Others can be registered; see `register_backend`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from passerby.errors import InputError

# some builds would report to their maker how they are used
onnxruntime.disable_telemetry_events()

CPU = "cpu"


@dataclass(frozen=True)
class Network:
    """An ONNX network and how it is to be run.

    Attributes:
        path: of the file.
        whole: whether the file refers to no others, so that it can be read at once.
        device: "cpu", "cuda", "cuda:1", …: as the backend names them.
        threads: CPU threads; all cores if None.
    """

    path: Path
    whole: bool
    device: str = CPU
    threads: int | None = None


class Backend(Protocol):
    """A loaded network."""

    @property
    def shapes(self) -> Mapping[str, list[int | str | None]]:
        """Each input's and output's axes but the first, the batch."""

    def run(self, outputs: Sequence[str], crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return outputs for crops, float32, shape (N, 3, height, width)."""


class OnnxRuntime:
    """ONNX Runtime, on the device that is asked for and on no other.

    Raises:
        InputError: it has no such device, or the device cannot be used.
        Exception: the network is damaged; ONNX Runtime's exceptions share no public base class.
    """

    def __init__(self, network: Network) -> None:
        provider, settings = _provider(network.device)
        options = onnxruntime.SessionOptions()
        # threads that wait for the next batch by spinning would take the cores from what is between
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if network.threads is not None:
            options.intra_op_num_threads = network.threads
        # read from memory, a file cannot refer to others
        source = network.path.read_bytes() if network.whole else str(network.path)
        providers: list[Any] = [(provider, settings)]
        if network.device != CPU:
            # operators that a device does not have
            providers.append(_PROVIDERS[CPU])
        self._session = onnxruntime.InferenceSession(source, options, providers=providers)
        if self._session.get_providers()[0] != provider:
            raise InputError(
                f"ONNX Runtime cannot use {network.device!r}: check its driver and libraries, or "
                "leave out `device`."
            )

    @property
    def shapes(self) -> Mapping[str, list[int | str | None]]:
        session = self._session
        return {a.name: list(a.shape[1:]) for a in (*session.get_inputs(), *session.get_outputs())}

    def run(self, outputs: Sequence[str], crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = self._session.run(list(outputs), {"crops": crops})
        return found


class OpenVino:
    """OpenVINO; on CPUs with bf16 instructions it computes in them.

    Raises:
        InputError: it is not installed, or has no such device.
        Exception: the network is damaged, or has operators that OpenVINO does not know.
    """

    def __init__(self, network: Network) -> None:
        if find_spec("openvino") is None:
            raise InputError(
                "The backend 'openvino' is not installed: install the extra `openvino`, or choose "
                "another backend."
            )
        openvino: Any = import_module("openvino")
        core = openvino.Core()
        kind, _, number = network.device.partition(":")
        name = ".".join([kind.upper(), *([number] if number else [])])
        available = [str(device) for device in core.available_devices]
        if name not in available and kind.upper() not in available:
            shown = ", ".join(device.lower().replace(".", ":") for device in available)
            raise InputError(
                f"OpenVINO has no device {network.device!r} here: choose from {shown}."
            )
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if network.threads is not None:
            settings["INFERENCE_NUM_THREADS"] = network.threads
        self._network = core.compile_model(core.read_model(str(network.path)), name, settings)

    @property
    def shapes(self) -> Mapping[str, list[int | str | None]]:
        found: dict[str, list[int | str | None]] = {}
        for port in (*self._network.inputs, *self._network.outputs):
            axes = [None if axis.is_dynamic else axis.get_length() for axis in port.partial_shape]
            found |= dict.fromkeys(port.names, axes[1:])
        return found

    def run(self, outputs: Sequence[str], crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        # a request of its own, since several threads may run the network
        request = self._network.create_infer_request()
        request.infer({"crops": crops}, share_inputs=True)
        return [request.get_tensor(name).data.copy() for name in outputs]


BACKENDS: dict[str, Callable[[Network], Backend]] = {
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}
"""Name to what loads a network."""

_PROVIDERS = {
    CPU: "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
"""ONNX Runtime's names of devices."""


def register_backend(name: str, load: Callable[[Network], Backend]) -> None:
    """Let `load_model` take another backend.

    Args:
        name: by which it is chosen.
        load: makes it of a network; raises InputError for devices that it does not have.

    Raises:
        InputError: there is one of that name.
    """
    if name in BACKENDS:
        raise InputError(f"There is a backend {name!r} already: choose another name.")
    BACKENDS[name] = load


def load_network(network: Network, backend: str) -> Backend:
    """Load a network.

    Raises:
        InputError: the backend or device is unknown, or the network is damaged.
    """
    if backend not in BACKENDS:
        raise InputError(f"`backend` is {backend!r}: choose from {', '.join(BACKENDS)}.")
    try:
        return BACKENDS[backend](network)
    except InputError:
        raise
    except Exception as error:
        # the runtimes' exceptions share no public base class
        raise InputError(
            f"{network.path} is damaged, or nothing that {backend} runs ({type(error).__name__}): "
            "save the model again, or choose another backend."
        ) from error


def _provider(device: str) -> tuple[str, dict[str, str]]:
    """Return what ONNX Runtime calls a device, and its settings.

    Raises:
        InputError: it has no such device.
    """
    kind, _, number = device.partition(":")
    there = onnxruntime.get_available_providers()
    wrong = number and (not number.isdecimal() or (kind == CPU and int(number)))
    if _PROVIDERS.get(kind) not in there or wrong:
        known = ", ".join(name for name, provider in _PROVIDERS.items() if provider in there)
        raise InputError(
            f"ONNX Runtime has no device {device!r} here: choose from {known}, or install the "
            "build of ONNX Runtime that has it."
        )
    return _PROVIDERS[kind], {"device_id": number} if number else {}
