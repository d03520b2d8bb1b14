"""Embedding crops by the workers of a Ray cluster, on this machine or on many."""

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.data.crops import Crops
from passerby.data.decoding import usable_cores
from passerby.errors import InputError
from passerby.inference.model_info import INFO_NAME, ONNX_NAME, WEIGHTS_NAME
from passerby.inference.runtime_model import EmbeddedBatch, RuntimeModel

Step = Callable[[RuntimeModel, Crops], dict[str, pa.Array]]
"""What a worker does with some crops: name of a column to a value for each; `broken` is one."""

LOCAL = "local"

_BLOCK, _LEAST_BLOCK = 1024, 32
"""Crops that a worker takes at once: so many are embedded again where one dies."""

_BLOCKS_A_WORKER = 4
_ROUND = 200_000
"""Crops that Ray knows of at once."""

_SECONDS = 5.0
"""For a cluster to answer."""

_STORE_BYTES = 500_000_000
"""Of memory that workers of this machine hand their answers over in."""


class Cluster:
    """Workers with a copy of a model each, of one core, or of one GPU where the model runs on one.

    A context manager; a cluster that it started itself ends with it.

    Args:
        address: "local" starts workers on this machine, which no other reaches; HOST:PORT is the
            head of a cluster, and "auto" the one that is found, of which this machine must be one.
            All its machines have this version of Passerby, and the crops at the same paths.
        workers: how many; one for each core, or GPU, of the cluster if left out.

    Raises:
        InputError: Ray is not installed, there is no such cluster, or it is too small.
    """

    def __init__(self, address: str = LOCAL, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"The number of workers is {workers}: give 1 or more.")
        self._address = address
        self._workers = workers
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        # read when Ray is imported: nobody counts who uses it
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if self._address == LOCAL:
            # else it takes the address that others see, and listens on all
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        # it complains of how Ray Data starts its own workers
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        try:
            import ray.data
        except ImportError:
            raise InputError("Many machines need Ray: install the extra `ray`.") from None
        # what it does is told by progress and errors
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if not ray.is_initialized():
            self._start()
            self._opened.callback(ray.shutdown)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _start(self) -> None:
        import ray

        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self._address == LOCAL:
            ray.init(
                num_cpus=self._workers or usable_cores(),
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
            return
        self._check_address()
        try:
            ray.init(address=self._address, **quiet)
        except Exception as error:
            # Ray raises ConnectionError, ValueError, RuntimeError, …
            raise self._nobody(error) from error

    def _check_address(self) -> None:
        """Check that something answers: Ray tries again for minutes."""
        if self._address == "auto":
            return
        host, _, port = self._address.rpartition(":")
        if not host or not port.isdecimal() or "//" in host:
            raise InputError(
                f"{self._address!r} is no address of a cluster: give HOST:PORT, auto or local."
            )
        try:
            socket.create_connection((host, int(port)), timeout=_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise self._nobody(error) from None

    def _nobody(self, error: Exception) -> InputError:
        return InputError(
            f"No Ray cluster answers at {self._address} ({_last_line(error)}): start one with "
            "`ray start --head`, on this machine or one that it has joined, or give `local`."
        )

    def run(self, model: RuntimeModel, crops: Crops, step: Step) -> Iterator[pa.Table]:
        """Let workers do something with all crops; yield what they found, in the crops' order.

        What a worker had when it died another one does again; each crop is in one table, once.

        Args:
            model: of which each worker gets a copy.
            crops: files, perhaps with boxes; what else is known of them stays here.
            step: what is done; its own modules must be importable by the workers.

        Raises:
            InputError: crops are in memory, a step raises, or workers cannot do it.
        """
        if crops.images is not None:
            raise InputError("A cluster reads crops from files: save them first.")
        import ray

        files = {
            name: path.read_bytes()
            for name in (INFO_NAME, ONNX_NAME, WEIGHTS_NAME)
            if (path := model.folder / name).is_file()
        }
        gpu = model.device.startswith("cuda")
        workers = self._count(gpu)
        # held here, so that a worker that is started anew finds them
        shared = ray.put((files, step, version("passerby"), socket.gethostname()))
        for start in range(0, len(crops), _ROUND):
            part = crops[start : start + _ROUND]
            done = 0
            with _explained():
                for table in _mapped(
                    _blocks(part, workers), (shared, model.backend, model.device), workers, gpu
                ):
                    rows = table.column("row").to_numpy()
                    if not np.array_equal(rows, np.arange(done, done + len(rows))):
                        raise RuntimeError("Ray lost crops, or returned some twice")
                    done += len(rows)
                    yield table.drop_columns("row")
                if done != len(part):
                    raise RuntimeError("Ray lost crops")

    def embed_batches(
        self, model: RuntimeModel, crops: Crops, *, flip: bool = False
    ) -> Iterator[EmbeddedBatch]:
        """Do as `RuntimeModel.embed_batches`; many crops are a batch.

        Raises:
            InputError: see `run`.
        """
        size = model.info.embedding_size
        for table in self.run(model, crops, partial(_embed, flip=flip)):
            broken = {
                row: InputError(sentence)
                for row, sentence in enumerate(table.column("broken").to_pylist())
                if sentence is not None
            }
            suspicions = {
                row: kind
                for row, kind in enumerate(table.column("suspicion").to_pylist())
                if kind is not None
            }
            rows = [row for row in range(len(table)) if row not in broken]
            attributes = None
            if model.schema is not None:
                attributes = numbers_of(table, "attributes", len(model.schema))[rows]
            vectors = numbers_of(table, "vector", size)[rows]
            yield EmbeddedBatch(len(table), rows, vectors, attributes, broken, suspicions)

    def _count(self, gpu: bool) -> int:
        import ray

        there = int(ray.cluster_resources().get("GPU" if gpu else "CPU", 0))
        wanted = self._workers or there
        if not 1 <= wanted <= there:
            kind = "GPUs" if gpu else "cores"
            raise InputError(
                f"{max(1, wanted)} workers need as many {kind}, the cluster has {there}: give "
                "fewer workers, or let machines join."
            )
        return wanted


def _embed(model: RuntimeModel, crops: Crops, *, flip: bool) -> dict[str, pa.Array]:
    """Embed some crops; see `Step`."""
    broken: list[str | None] = []
    suspicions: list[str | None] = []
    vectors, attributes = [], []
    for batch in model.embed_batches(crops, flip=flip):
        vectors.append(_spread(batch.vectors, batch))
        if batch.attributes is not None:
            attributes.append(_spread(batch.attributes, batch))
        for row in range(batch.count):
            broken.append(str(batch.broken[row]) if row in batch.broken else None)
            suspicions.append(batch.suspicions.get(row))
    columns = {
        "broken": pa.array(broken, pa.string()),
        "suspicion": pa.array(suspicions, pa.string()),
        "vector": as_lists(np.concatenate(vectors)),
    }
    if attributes:
        columns["attributes"] = as_lists(np.concatenate(attributes))
    return columns


def _spread(found: NDArray[np.float32], batch: EmbeddedBatch) -> NDArray[np.float32]:
    """Return a row for each crop, of zeros for those that are broken."""
    spread = np.zeros((batch.count, found.shape[1]), np.float32)
    spread[batch.rows] = found
    return spread


def as_lists(numbers: NDArray[np.float32]) -> pa.Array:
    """Return float32 numbers, shape (N, D), as a column."""
    flat = pa.array(np.ascontiguousarray(numbers).reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, numbers.shape[1])


def numbers_of(table: pa.Table, name: str, size: int) -> NDArray[np.float32]:
    """Return a column that `as_lists` made as numbers, shape (N, size)."""
    column = table.column(name).combine_chunks()
    found: NDArray[np.float32] = column.flatten().to_numpy().reshape(-1, size)
    return found


class _Worker:
    """One of the workers, in a process of its own."""

    def __init__(self, shared: Any, backend: str, device: str) -> None:
        import ray

        files, self._step, wanted, self._home = ray.get(shared)
        self._host = socket.gethostname()
        if (mine := version("passerby")) != wanted:
            raise InputError(
                f"The machine {self._host} of the cluster has Passerby {mine}, this one "
                f"{wanted}: install the same everywhere."
            )
        with tempfile.TemporaryDirectory(prefix="passerby-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            threads = 1 if device == "cpu" else None
            self._model = RuntimeModel.load(folder, threads, backend=backend, device=device)

    def __call__(self, rows: pa.Table) -> pa.Table:
        paths = [os.fsdecode(path) for path in rows.column("path").to_pylist()]
        box = rows.column("box").combine_chunks().flatten().to_numpy().reshape(-1, 4)
        columns = self._step(self._model, Crops(paths, box=box if box.any() else None))
        if self._host != self._home:
            told = columns["broken"].to_pylist()
            told = [said and f"{said} So {self._host} says." for said in told]
            columns["broken"] = pa.array(told, pa.string())
        return pa.table({"row": rows.column("row"), **columns})


def _blocks(crops: Crops, workers: int) -> list[pa.Table]:
    """Return what workers are told of crops, some at a time."""
    count = len(crops)
    box = np.zeros((count, 4), np.int64) if crops.box is None else crops.box.astype(np.int64)
    table = pa.table(
        {
            "row": np.arange(count),
            # any file name, also one that is no UTF-8
            "path": [os.fsencode(path.absolute()) for path in crops.paths],
            "box": pa.FixedSizeListArray.from_arrays(pa.array(box.reshape(-1)), 4),
        }
    )
    size = min(max(_LEAST_BLOCK, -(-count // (_BLOCKS_A_WORKER * workers))), _BLOCK)
    return [table.slice(start, size) for start in range(0, count, size)]


def _mapped(
    blocks: list[pa.Table], arguments: tuple[Any, ...], workers: int, gpu: bool
) -> Iterator[pa.Table]:
    """Return what workers make of blocks, in their order."""
    import ray.data

    dataset = ray.data.from_arrow(blocks).map_batches(
        _Worker,
        fn_constructor_args=arguments,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=0 if gpu else 1,
        num_gpus=1 if gpu else 0,
    )
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    found: Iterator[pa.Table] = iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    return found


@contextmanager
def _explained() -> Iterator[None]:
    """Raise what a worker says as it said it, and say of what Ray reports what it means."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        said: BaseException | None = error
        while said is not None and not isinstance(said, InputError):
            said = getattr(said, "cause", None) or said.__cause__
        if said is not None:
            raise InputError(str(said)) from error
        raise InputError(
            f"The workers cannot go on ({_last_line(error)}): each machine of the cluster needs "
            f"Passerby {version('passerby')} and enough memory. What was finished is kept."
        ) from error


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
