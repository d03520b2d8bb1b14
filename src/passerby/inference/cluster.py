"""Embedding crops by the workers of a Ray cluster, on this machine or on many."""

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from passerby.data.crops import Crops
from passerby.data.decoding import usable_cores
from passerby.errors import InputError
from passerby.inference.cluster_worker import (
    BROKEN,
    REFUSED,
    ROW,
    UNSEEN,
    Order,
    Step,
    Worker,
    embed_step,
    numbers_of,
    table_of,
    texts_of,
)
from passerby.inference.model_info import INFO_NAME, ONNX_NAME, WEIGHTS_NAME
from passerby.inference.runtime_model import EmbeddedBatch, RuntimeModel

LOCAL, AUTO = "local", "auto"

_BLOCK, _LEAST_BLOCK = 1024, 32
"""Crops that a worker takes at once: so many are embedded again where one dies."""

_BLOCKS_A_WORKER = 16
_ROUND = 20_000
"""Crops for each worker that Ray knows of at once; with each round workers start anew."""

_LEAST_ROUND = 200_000
_SECONDS = 5.0
"""For a cluster to answer."""

_ON_GPUS = ("cuda", "tensorrt")
"""Devices of which Ray gives each worker one."""


class Cluster:
    """Workers with a copy of a model each, of one core, or of one GPU where the model runs on one.

    A context manager; a cluster that it started itself ends with it. A process that is connected to
    Ray already keeps to that cluster.

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
        if self._address == LOCAL and (self._workers or 0) > (cores := usable_cores()):
            raise InputError(
                f"{self._workers:,} workers, but this machine has {cores:,} cores for them: give "
                "no more than that."
            )
        # read when Ray is imported: one try to reach a cluster takes most of a minute
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
        if self._address not in (LOCAL, AUTO) and _has_token():
            # else Ray shows its token only to a cluster that it finds by itself
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        # this process tells nobody that it is used
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # it complains of how Ray Data starts its own workers
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        try:
            import ray.data
        except ImportError:
            raise InputError("Many machines need Ray: install the extra `ray`.") from None
        with ExitStack() as opening:
            opening.enter_context(_quiet())
            if not ray.is_initialized():
                self._check_address()
                # a short path: it becomes part of those of sockets
                short = "/tmp" if Path("/tmp").is_dir() else None
                folder = tempfile.TemporaryDirectory(
                    prefix="ray-", dir=short, ignore_cleanup_errors=True
                )
                place = opening.enter_context(folder)
                opening.callback(ray.shutdown)
                with _own_signals():
                    if self._address == LOCAL:
                        self._start(place)
                    else:
                        self._join()
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _start(self, place: str) -> None:
        """Start workers that only this machine reaches.

        Args:
            place: a folder of theirs.
        """
        import ray

        try:
            with _loopback():
                ray.init(
                    address=LOCAL,
                    num_cpus=self._workers or usable_cores(),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    _node_ip_address="127.0.0.1",
                    # which Ray opens for everybody, inside one that is closed
                    _temp_dir=str(Path(place) / "r"),
                )
        except Exception as error:
            raise InputError(
                f"Ray does not start on this machine ({_last_line(error)}): do without a cluster."
            ) from error
        if not ip_address(ray.util.get_node_ip_address()).is_loopback:
            raise InputError("Other machines would reach this cluster: install another Ray.")

    def _check_address(self) -> None:
        """Check that something answers there: Ray tries for minutes."""
        address = self._address
        if address == AUTO:
            # which Ray takes, if it is set
            address = os.environ.get("RAY_ADDRESS", "")
            if address in ("", LOCAL, AUTO):
                return
        if address == LOCAL:
            return
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or "//" in host:
            raise InputError(
                f"{address!r} is not the address of a cluster: give HOST:PORT, auto or local."
            )
        try:
            where = host.strip("[]"), int(port)
            _greet(where)
        except (OSError, OverflowError, ValueError) as error:
            raise self._nobody(address, error) from None

    def _join(self) -> None:
        """Join the cluster of the address."""
        import ray

        try:
            ray.init(address=self._address, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:
            # Ray raises ConnectionError, ValueError, RuntimeError, …
            if "ersion mismatch" in str(error):
                told = " ".join(str(error).split())
                raise InputError(
                    f"The cluster at {self._address} has another Ray or Python ({told}): install "
                    "the same on all its machines."
                ) from error
            raise InputError(
                f"The Ray cluster at {self._address} does not let this machine in "
                f"({_last_line(error)}): let it join with `ray start`, with the cluster's token in "
                "~/.ray/auth_token, and the same Ray everywhere."
            ) from error

    def _nobody(self, address: str, error: Exception) -> InputError:
        return InputError(
            f"No Ray cluster answers at {address} ({_last_line(error)}): start one with "
            "`ray start --head`, on this machine or one that it has joined, or give `local`."
        )

    def run(self, model: RuntimeModel, crops: Crops, step: Step) -> Generator[pa.Table, None, None]:
        """Let workers do something with all crops; yield what they found, in the crops' order.

        What a worker had when it died another one does again; each crop is in one table, once.

        Args:
            model: of which each worker gets a copy.
            crops: files, perhaps with boxes; what else is known of them stays here.
            step: what is done; its own modules must be importable by the workers.

        Raises:
            InputError: crops are in memory, a step refuses, or workers cannot do it.
        """
        if crops.images is not None:
            raise InputError("A cluster reads crops from files: save them first.")
        import ray

        # Ray gives each worker one, which it sees as the only one
        device, _, _ = model.device.partition(":")
        gpu = device in _ON_GPUS
        files = {
            name: path.read_bytes()
            for name in (INFO_NAME, ONNX_NAME, WEIGHTS_NAME)
            if (path := model.folder / name).is_file()
        }
        threads = None if gpu else 1
        order = Order(
            files, model.backend, device, threads, step, version("passerby"), socket.gethostname()
        )
        workers = self._count(gpu)
        # held here, so that a worker that is started anew finds it
        shared = ray.put(order)
        size = max(_LEAST_ROUND, _ROUND * workers)
        for start in range(0, len(crops), size):
            part = crops[start : start + size]
            done = 0
            with _explained():
                for table in _mapped(_blocks(part, workers), shared, workers, gpu):
                    rows = table.column(ROW).to_numpy()
                    if not np.array_equal(rows, np.arange(done, done + len(rows))):
                        raise RuntimeError("Ray lost crops, or returned some twice")
                    _check(table, part, done)
                    done += len(rows)
                    yield table
                if done != len(part):
                    raise RuntimeError("Ray lost crops")

    def embed_batches(
        self, model: RuntimeModel, crops: Crops, *, flip: bool = False, batch_size: int = 64
    ) -> Generator[EmbeddedBatch, None, None]:
        """Do as `RuntimeModel.embed_batches`; what is yielded are larger batches.

        Raises:
            InputError: see `run`.
        """
        step = partial(embed_step, flip=flip, batch_size=batch_size)
        with closing(self.run(model, crops, step)) as tables:
            for table in tables:
                told = enumerate(texts_of(table.column(BROKEN)))
                broken = {row: InputError(said) for row, said in told if said is not None}
                kinds = enumerate(table.column("suspicion").to_pylist())
                suspicions = {row: kind for row, kind in kinds if kind is not None}
                rows = [row for row in range(len(table)) if row not in broken]
                vectors = numbers_of(table.column("vector"), model.info.embedding_size)[rows]
                attributes = None
                if model.schema is not None:
                    probabilities = table.column("attributes")
                    attributes = numbers_of(probabilities, len(model.schema))[rows]
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


def _has_token() -> bool:
    """Tell whether there is a token to show to clusters, where Ray looks for it."""
    told = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(told) or (Path.home() / ".ray" / "auth_token").is_file()


def _greet(where: tuple[str, int]) -> None:
    """Check that a server of gRPC is somewhere, as those of Ray are.

    Raises:
        OSError: nobody answers, or another kind of server (RFC 9113, section 3.4).
    """
    settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    with socket.create_connection(where, timeout=_SECONDS) as connection:
        connection.settimeout(_SECONDS)
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
        answer = b""
        while len(answer) < len(settings) and (part := connection.recv(64)):
            answer += part
    if answer[3:4] != settings[3:4]:
        raise OSError("another server is there")


def _blocks(crops: Crops, workers: int) -> list[pa.Table]:
    """Return what workers are told of crops, some at a time."""
    table = table_of(crops)
    share = -(-len(crops) // (_BLOCKS_A_WORKER * workers))
    size = min(max(_LEAST_BLOCK, share), _BLOCK)
    return [table.slice(start, size) for start in range(0, len(crops), size)]


def _mapped(blocks: list[pa.Table], order: Any, workers: int, gpu: bool) -> Iterator[pa.Table]:
    """Return what workers make of blocks, in their order."""
    import ray.data

    dataset = ray.data.from_arrow(blocks).map_batches(
        Worker,
        fn_constructor_args=(order,),
        batch_size=None,
        batch_format="pyarrow",
        # those that are free begin
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
        num_cpus=0 if gpu else 1,
        num_gpus=1 if gpu else 0,
    )
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    found: Iterator[pa.Table] = iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    return found


def _check(table: pa.Table, crops: Crops, start: int) -> None:
    """Check that a worker did what it was told to do.

    Args:
        table: what it returned.
        crops: of the round.
        start: of them, the first one of the table.
    """
    if REFUSED in table.column_names:
        raise InputError(table.column(REFUSED)[0].as_py())
    for row in np.flatnonzero(table.column(UNSEEN).to_numpy()).tolist():
        path = crops.paths[start + row]
        if path.exists():
            said = texts_of(table.column(BROKEN).slice(row, 1))[0]
            raise InputError(
                f"A machine of the cluster does not see {path} ({said}): all of them need the "
                "crops at the same paths, so share the folder."
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """What Ray does is told by progress and errors."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _loopback() -> Iterator[None]:
    """Let Ray take 127.0.0.1; else it takes the address that others see, and listens on all."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _own_signals() -> Iterator[None]:
    """Let signals mean what they meant before Ray was started."""
    own = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as stopped:
        # its handler stops the process with the signal's number
        if stopped.code == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        if own:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _explained() -> Iterator[None]:
    """Say of what Ray reports of its machines and processes what it means."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError:
        raise  # an error of ours
    except RayError as error:
        raise InputError(
            f"The workers cannot go on ({_last_line(error)}): each machine of the cluster needs "
            f"Passerby {version('passerby')} and enough memory. What was finished is kept."
        ) from error


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
