import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest

from passerby.data import Crops
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.inference import RuntimeModel, embed_to_folder
from passerby.inference.cluster import Cluster
from passerby.inference.cluster_worker import embed_step, table_of

pytestmark = [
    pytest.mark.alone,
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("local", workers=2) as opened:
        yield opened


@pytest.fixture
def crops(toy_data: Path, tmp_path: Path) -> Crops:
    """Crops with boxes, persons and cameras; one cannot be decoded, one is not named in UTF-8."""
    found = read_crops(toy_data)[:140]
    folder = tmp_path / "crops"
    folder.mkdir()
    paths = [Path(shutil.copy2(path, folder)) for path in found.paths]
    paths[40].write_bytes(b"nothing")
    for row, name in ((40, b"caf\xe9.jpg"), (60, b"na\xefve.jpg")):
        paths[row] = paths[row].rename(folder / os.fsdecode(name))
    box = np.zeros((140, 4), int)
    box[::7] = 5, 5, 30, 90
    return found.replace(paths=paths, box=box)


def test_the_same_as_without_a_cluster(cluster: Cluster, model_file: Path, crops: Crops) -> None:
    model = RuntimeModel.load(model_file)
    folder = crops.paths[0].parent
    alone, together = [], []
    told: list[str] = []
    expected = embed_to_folder(
        model, crops, folder / "alone", flip=True, on_broken=lambda e: alone.append(str(e)),
        on_remark=alone.append,
    )  # fmt: skip
    found = embed_to_folder(
        model, crops, folder / "together", flip=True, on_broken=lambda e: together.append(str(e)),
        on_remark=together.append, cluster=cluster, progress=lambda *done: told.append(str(done)),
    )  # fmt: skip
    assert found.crops.paths == expected.crops.paths
    assert len(found) == 139
    assert found.crops.person.tolist() == expected.crops.person.tolist()
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)
    np.testing.assert_allclose(found.known_attributes, expected.known_attributes, atol=1e-6)
    assert together == alone != []
    assert told[-1] == "(140, 140)"
    assert len(told) > 2


@pytest.mark.slow
def test_it_goes_on_where_another_way_stopped(
    cluster: Cluster, model_file: Path, crops: Crops, tmp_path: Path
) -> None:
    model = RuntimeModel.load(model_file)

    def stop(done: int, _: int) -> None:
        if done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_to_folder(model, crops, tmp_path / "out", batch_size=50, on_broken=str, progress=stop)
    told: list[int] = []
    found = embed_to_folder(
        model, crops, tmp_path / "out", on_broken=str, cluster=cluster,
        progress=lambda done, _: told.append(done),
    )  # fmt: skip
    assert told[0] == 100
    expected = model.embed(crops, on_broken=str)
    assert found.crops.paths == expected.crops.paths
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)


def test_only_this_machine_reaches_it(cluster: Cluster) -> None:
    listening = [
        connection.laddr.ip
        for process in (psutil.Process(), *psutil.Process().children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.slow
def test_what_workers_cannot_do(
    cluster: Cluster, model_file: Path, crops: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = RuntimeModel.load(model_file)
    images = Crops(["a"], images=[np.zeros((90, 40, 3), np.uint8)])
    with pytest.raises(InputError, match="reads crops from files: save them first"):
        list(cluster.embed_batches(model, images))
    with pytest.raises(InputError, match="9 workers need as many cores, the cluster has 2"):
        list(Cluster("local", 9).embed_batches(model, crops))
    model.device = "cuda:0"
    with pytest.raises(InputError, match="2 workers need as many GPUs, the cluster has 0"):
        list(cluster.embed_batches(model, crops))
    model.device = "cpu"
    monkeypatch.setattr("passerby.inference.cluster.version", lambda name: "0.0.7")
    with pytest.raises(InputError) as raised:
        list(cluster.embed_batches(model, crops))
    host = socket.gethostname()
    assert str(raised.value) == (
        f"Passerby {version('passerby')} is installed on {host}, 0.0.7 on {host}: install the same "
        "everywhere."
    )
    monkeypatch.undo()
    with pytest.raises(InputError) as raised:
        list(cluster.embed_batches(model, crops, batch_size=0))
    assert str(raised.value) == "The batch size is 0: give 1 or more."


@pytest.mark.slow
def test_crops_that_only_this_machine_has(
    cluster: Cluster, model_file: Path, crops: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if workers were on another machine, which sees one crop less; one is missing for both."""
    model = RuntimeModel.load(model_file)
    crops = crops[:30]
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    crops.paths[7].unlink()
    found = list(cluster.embed_batches(model, crops))
    (sentence,) = (str(error) for batch in found for error in batch.broken.values())
    assert sentence.startswith(f"Cannot read {crops.paths[7]}: No such file")
    assert sentence.endswith(f" So {os.uname().nodename} says.")
    crops.paths[7].touch()
    monkeypatch.setattr(
        "passerby.inference.cluster.table_of",
        lambda part: table_of(part.replace(paths=[f"{path}.not" for path in part.paths])),
    )
    with pytest.raises(InputError, match="does not see .* so share the folder"):
        list(cluster.embed_batches(model, crops))


@pytest.mark.slow
def test_errors_of_our_own_stay_errors(cluster: Cluster, model_file: Path, crops: Crops) -> None:
    from ray.exceptions import RayTaskError

    with pytest.raises(RayTaskError, match="unexpected keyword argument 'crop'"):
        list(cluster.run(RuntimeModel.load(model_file), crops, partial(embed_step, crop=1)))


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0, 3])
def test_signals_mean_what_they_meant(
    wait: float, model_file: Path, toy_data: Path, tmp_path: Path
) -> None:
    """And no worker stays, nor a folder."""
    before = set(Path("/tmp").glob("ray-*"))
    command = [sys.executable, "-m", "passerby", "embed", str(toy_data), "--split", "train"]
    command += ["--model", str(model_file), "--out", str(tmp_path / "out"), "--ray", "local"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE)
    children: list[psutil.Process] = []
    while not any("raylet" in child.name() for child in children):
        time.sleep(0.1)
        with suppress(psutil.Error):
            children = psutil.Process(running.pid).children(recursive=True)
        assert running.poll() is None
    time.sleep(wait)
    running.terminate()
    assert running.wait(30) == 128 + signal.SIGTERM
    if wait:  # what it has hardly started ends later
        _, alive = psutil.wait_procs(children, 10)
        assert not alive
        assert set(Path("/tmp").glob("ray-*")) <= before


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9", "nowhere.invalid:6379", "127.0.0.1:99999", "a..b:1"]
)
def test_no_cluster_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(InputError, match=f"No Ray cluster answers at {address}"), Cluster(address):
        pass


@pytest.mark.parametrize("address", ["", "6379", "ray://127.0.0.1:10001", "http://here:1", ":1"])
def test_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(InputError, match="is not the address of a cluster"), Cluster(address):
        pass


def test_another_server_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of web pages, or one that says nothing: Ray would try for minutes."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("passerby.inference.cluster._SECONDS", 0.5)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for port in (server.server_address[1], mute.getsockname()[1]):
            with (
                pytest.raises(InputError, match=f"No Ray cluster answers at 127.0.0.1:{port} "),
                Cluster(f"127.0.0.1:{port}"),
            ):
                pass
            monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
            with pytest.raises(InputError, match=f"at 127.0.0.1:{port} "), Cluster("auto"):
                pass
    server.shutdown()
    server.server_close()


def test_more_workers_than_cores() -> None:
    with pytest.raises(InputError, match=r"1,000 workers, but this machine has .* cores for them"):
        Cluster("local", 1000).__enter__()


def test_no_workers() -> None:
    with pytest.raises(InputError, match="The number of workers is 0: give 1 or more"):
        Cluster("local", 0)


def living_workers() -> list[int]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


@pytest.mark.slow
def test_workers_that_are_killed(
    cluster: Cluster, model_file: Path, toy_data: Path, tmp_path: Path
) -> None:
    """Each time some crops are done a worker is killed: each crop is there, once."""
    crops = Crops(20 * read_crops(toy_data).paths)
    model = RuntimeModel.load(model_file)
    killed: list[int] = []

    def kill(done: int, _: int) -> None:
        if len(killed) < 3:
            pid = next(pid for pid in living_workers() if pid not in killed)
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    found = embed_to_folder(model, crops, tmp_path / "out", cluster=cluster, progress=kill)
    assert len(killed) == 3
    assert found.crops.paths == tuple(path.absolute() for path in crops.paths)
    np.testing.assert_allclose(found.vectors, model.embed(crops).vectors, atol=1e-6)
