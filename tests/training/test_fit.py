import csv
import errno
import gc
import json
import math
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from small_training import SMALL, Stop, small, stopping_after

from passerby.data import Crops, Schema, concatenate
from passerby.data.decoding import load_crop
from passerby.datasets import read_crops
from passerby.errors import InputError
from passerby.inference import RuntimeModel
from passerby.inference.leakage import SeenFiles, hash_files
from passerby.models import PersonModel
from passerby.toy import write_toy
from passerby.training import Listener, checkpoint, fit, load_recipe, train
from passerby.training.checkpoint import NAME as CHECKPOINT
from passerby.training.checkpoint import Checkpoint
from passerby.training.crop_dataset import CropDataset
from passerby.training.fit import TrainingRun
from passerby.training.loader import training_loader
from passerby.training.log import EpochRow
from passerby.training.run import open_run
from passerby.training.split import Split
from passerby.training.training_samples import TrainingSamples
from passerby.training.unlabelled import Unlabelled

SAVED = "model.training_module.model."
"""Before the network's names in a checkpoint: multitask_loss, training_module, network."""


def named(crops: Crops) -> dict[str, list[str]]:
    """Return persons as JSON has them."""
    return {dataset: list(persons) for dataset, persons in crops.persons.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """A run that nothing interrupted; read only."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(small(), toy_data, run)
    return run


def test_a_run_leaves_everything_behind(finished: Path, toy_data: Path) -> None:
    rows = list(csv.DictReader((finished / "log.csv").open()))
    assert [(row["epoch"], row["phase"]) for row in rows] == [
        ("1", "1"),
        ("2", "1"),
        ("3", "2"),
        ("4", "2"),
    ]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert yaml.safe_load((finished / "recipe.yaml").read_text())["name"] == "smoke"
    assert list((finished / "tensorboard").rglob("events.*"))
    training = json.loads((finished / "model" / "model.json").read_text())["training"]
    train_part, held_out = read_crops(toy_data).split_persons(6, seed=0)
    assert training["held_out_persons"] == named(held_out)
    assert training["persons"] == named(train_part)
    assert training["calibration_persons"] == {}
    assert training["crops"] == len(train_part)
    assert training["epochs"] == 4
    assert training["unlabelled_crops"] == 0
    seen = SeenFiles.read(finished / "model")
    assert seen.training.tolist() == sorted(hash_files(train_part).tolist())
    assert (len(seen.unlabelled), len(seen.calibration)) == (0, 0)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_resumed_ends_with_the_same_weights(
    finished: Path, toy_data: Path, tmp_path: Path, epoch: int
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(small(), toy_data, run, listener=stopping_after(epoch))
    assert not (run / "model").exists()
    train(small(), toy_data, run, resume=True)
    expected = load_file(finished / "model" / "model.safetensors")
    found = load_file(run / "model" / "model.safetensors")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    epochs = [row["epoch"] for row in csv.DictReader((run / "log.csv").open())]
    assert epochs == ["1", "2", "3", "4"]


def test_the_average_and_learnt_weights_are_resumed_too(toy_data: Path, tmp_path: Path) -> None:
    recipe = small(
        "ema_decay=0.5",
        "loss.balance=uncertainty",
        "loss.identity.weight=1",
        "phases.0.epochs=1",
        "phases.1.epochs=1",
    )
    train(recipe, toy_data, tmp_path / "whole")
    with pytest.raises(Stop):
        train(recipe, toy_data, tmp_path / "run", listener=stopping_after(1))
    train(recipe, toy_data, tmp_path / "run", resume=True)
    expected = load_file(tmp_path / "whole" / "model" / "model.safetensors")
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    checkpoint = load_file(tmp_path / "run" / CHECKPOINT)
    assert torch.equal(
        found["attribute_head.weight"], checkpoint["average.module.attribute_head.weight"]
    )
    assert not torch.equal(
        found["attribute_head.weight"], checkpoint[f"{SAVED}attribute_head.weight"]
    )
    assert (checkpoint["model.log_variances.attributes"] != 0).all()


def test_the_seed_matters(finished: Path, toy_data: Path, tmp_path: Path) -> None:
    train(small("seed=1"), toy_data, tmp_path / "run")
    expected = load_file(finished / "model" / "model.safetensors")
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert not torch.equal(expected["attribute_head.weight"], found["attribute_head.weight"])


def test_thresholds_are_chosen_on_calibration_persons(toy_data: Path, tmp_path: Path) -> None:
    recipe = small("data.calibration_persons=5", "phases.0.epochs=1", "phases.1.epochs=1")
    model = RuntimeModel.load(train(recipe, toy_data, tmp_path / "run"))
    training = model.info.training
    chosen = [
        set(getattr(training, k)["course"])
        for k in ("persons", "calibration_persons", "held_out_persons")
    ]
    assert [len(names) for names in chosen] == [13, 5, 6]
    assert len(set.union(*chosen)) == 24
    from passerby.evaluation import choose_decision

    crops = read_crops(toy_data).of_persons(training.calibration_persons)
    assert model.seen.calibration.tolist() == sorted(hash_files(crops).tolist())
    expected = choose_decision(model.embed(crops))
    assert model.info.decision.rule == expected.rule == "thresholds"
    assert model.info.decision.thresholds == pytest.approx(expected.thresholds, abs=1e-4)
    assert model.info.distances


def test_frozen_stages_do_not_change(toy_data: Path, tmp_path: Path) -> None:
    recipe = small("model.frozen_stages=2", "phases.0.epochs=1", "phases.1.epochs=1")
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(recipe, toy_data, run, listener=stopping_after(1))
    before = load_file(run / CHECKPOINT)
    train(recipe, toy_data, run, resume=True)
    after = load_file(run / "model" / "model.safetensors")
    early = [n for n in after if "network.layer1" in n or "network.conv1" in n]
    assert early
    assert all(torch.equal(after[n], before[f"{SAVED}{n}"]) for n in early)
    late = "backbone.network.layer4.0.conv1.weight"
    assert not torch.equal(after[late], before[f"{SAVED}{late}"])


def test_smaller_crops_first(toy_data: Path, tmp_path: Path, monkeypatch) -> None:
    seen: list[tuple[int, ...]] = []
    forward = PersonModel.features
    monkeypatch.setattr(
        PersonModel, "features", lambda self, x: (seen.append(tuple(x.shape)), forward(self, x))[1]
    )
    recipe = small("phases.0.epochs=1", "phases.1.epochs=1", "phases.0.size=[48, 24]")
    model = RuntimeModel.load(train(recipe, toy_data, tmp_path / "run"))
    training = [shape[2:] for shape in seen if shape[0] == recipe.batch_size]
    steps = len(training) // 2
    assert training == [(48, 24)] * steps + [(64, 32)] * steps
    assert model.info.preprocessing.height == 64


def test_a_size_that_the_backbone_does_not_take(toy_data: Path, tmp_path: Path) -> None:
    recipe = small("model.backbone=test_vit", "phases.1.size=[48, 24]")
    with pytest.raises(InputError, match=r"phases\.1\.size is \[48, 24\], for which the backbone"):
        train(recipe, toy_data, tmp_path / "run")


def test_bf16_and_a_transformer(toy_data: Path, tmp_path: Path) -> None:
    recipe = small(
        "model.backbone=test_vit", "precision=bf16", "phases.0.epochs=1", "phases.1.epochs=1"
    )
    model = RuntimeModel.load(train(recipe, toy_data, tmp_path / "run"))
    assert model.info.training.precision == "bf16"
    assert model.embed(read_crops(toy_data)[:3]).attributes.shape == (3, 32)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_depthwise_gradients_are_ours_in_bf16_alone(
    precision: str, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr(
        "passerby.training.fit.DepthwiseGradients",
        lambda: taken.append(1) or nullcontext(),
    )
    recipe = small(
        "model.backbone=test_efficientnet",
        f"precision={precision}",
        "phases.0.epochs=1",
        "phases.1.epochs=1",
    )
    train(recipe, toy_data, tmp_path / "run")
    assert bool(taken) == (precision == "bf16")


def train_with_two_processes(data: Path, run: Path, values: list[str]) -> str:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--standalone", "-m", "passerby.cli.main", "train", "smoke"]
    command += [f"--data={data}", f"--out={run}", *(f"--set={value}" for value in values)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("processes", "instances_per_person", "message"),
    [
        (
            3,
            0,
            "batch_size is 16 and instances_per_person 0, which 3 processes cannot share evenly",
        ),
        (8, 4, "batch_size is 16 and instances_per_person 4, which 8 processes cannot share"),
    ],
)
def test_a_batch_that_processes_cannot_share(
    toy_data: Path, processes: int, instances_per_person: int, message: str
) -> None:
    recipe = small("batch_size=16", f"instances_per_person={instances_per_person}")
    samples = TrainingSamples.of(read_crops(toy_data))
    with pytest.raises(InputError, match=message):
        training_loader(recipe, samples, SimpleNamespace(num_processes=processes))


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(toy_data: Path, tmp_path: Path) -> None:
    """Without random changes to the crops, and without batch normalisation, which sees parts."""
    values = [
        *SMALL,
        "model.backbone=test_vit",
        "model.neck=none",
        "model.dropout=0",
        "augment={flip: 0, shift: 0}",
        "loss.identity.weight=1",
        "loss.metric.kind=triplet",
        "batch_size=16",
        "instances_per_person=4",
        "phases.0.epochs=1",
        "phases.1.epochs=1",
    ]
    train_with_two_processes(toy_data, tmp_path / "two", values)
    train(load_recipe("smoke", values), toy_data, tmp_path / "one")
    one, two = (load_file(tmp_path / n / "model" / "model.safetensors") for n in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_two_processes_write_one_run(toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    told = train_with_two_processes(toy_data, run, SMALL)
    assert told.count("epoch 4/4") == 1
    model = RuntimeModel.load(run)
    assert model.info.training.processes == 2
    rows = list(csv.DictReader((run / "log.csv").open()))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_a_finished_run_is_not_trained_again(finished: Path, toy_data: Path) -> None:
    before = (finished / "model" / "model.json").read_bytes()
    said: list[str] = []
    listener = Listener(said.append)
    assert train(small(), toy_data, finished, resume=True, listener=listener) == finished / "model"
    assert said == [f"{finished} has finished already: nothing is left to train."]
    assert (finished / "model" / "model.json").read_bytes() == before


def test_a_run_in_the_way(finished: Path, toy_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a run already: resume it, or choose"):
        train(small(), toy_data, finished)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="exists and is not a training run"):
        train(small(), toy_data, tmp_path)
    with pytest.raises(InputError, match=r"differs from the given recipe in phases\.0\.epochs"):
        train(small("phases.0.epochs=3"), toy_data, finished, resume=True)


def test_a_checkpoint_cut_in_half(toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(small(), toy_data, run, listener=stopping_after(1))
    path = run / CHECKPOINT
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="is damaged or cut off"):
        train(small(), toy_data, run, resume=True)


def test_a_rejected_run_is_not_in_the_way(toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match="not a model of timm"):
        train(small("model.backbone=resnet5"), toy_data, run)
    with pytest.raises(InputError, match="does not exist"):
        train(small(), tmp_path / "nodata", run)
    assert not run.exists()
    with pytest.raises(KeyboardInterrupt):
        train(small(), toy_data, run, listener=Listener(on_step=interrupt))
    assert not run.exists()
    # a kill, other than an interrupt, leaves this
    (run / "tensorboard").mkdir(parents=True)
    train(small("phases.0.epochs=1", "phases.1.epochs=1"), toy_data, run)
    assert len((run / "log.csv").read_text().splitlines()) == 3


def test_a_disk_that_is_full_at_the_first_checkpoint(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_tensors", full)
        with pytest.raises(InputError, match="the disk is full: free some space and run the comm"):
            train(small(), toy_data, run)
    assert not run.exists()
    # a kill, other than an error, leaves the draft
    (run / f".{CHECKPOINT}.x1y2z3").mkdir(parents=True)
    with pytest.raises(Stop):
        train(small(), toy_data, run, listener=stopping_after(1))
    assert Checkpoint.load(run).progress.epochs == 1


def test_killed_right_after_the_first_checkpoint(
    finished: Path, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Stop

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(fit, "write_log", killed)
        with pytest.raises(Stop):
            train(small(), toy_data, run)
    with pytest.raises(InputError, match="holds a run already: resume it, or choose"):
        train(small(), toy_data, run)
    train(small(), toy_data, run, resume=True)
    expected = load_file(finished / "model" / "model.safetensors")
    found = load_file(run / "model" / "model.safetensors")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_a_folder_named_like_a_keyword(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Stop):
        train(small(), toy_data, tmp_path / "run", listener=stopping_after(1))


def interrupt(done: int, total: int, loss: float) -> None:
    raise KeyboardInterrupt


def test_too_few_crops_for_a_batch(toy_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch_size is 500, but there are 108 training crops"):
        train(small("batch_size=500"), toy_data, tmp_path / "run")


def test_too_few_persons(toy_data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match="keeps 24 persons for evaluation and 0 .* but there are 24: choose fewer held_out",
    ):
        train(small("data.held_out_persons=24"), toy_data, tmp_path / "run")


def test_a_loss_that_explodes(toy_data: Path, tmp_path: Path) -> None:
    broken = r"The loss is (nan|inf) in epoch 1, .* a lower phases\.0\.learning_rate\.$"
    with pytest.raises(InputError, match=broken):
        train(small("phases.0.learning_rate=1e30"), toy_data, tmp_path / "run")


def test_weights_that_the_last_step_broke_are_not_kept(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(run: TrainingRun, *arguments: Any) -> torch.Tensor:
        steps.append(1)
        loss = step(run, *arguments)
        if len(steps) == 2 * len(run.loader):
            next(run.multitask_loss.parameters()).data.fill_(math.nan)
        return loss

    steps: list[int] = []
    step = TrainingRun.step
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "step", breaking)
        with pytest.raises(InputError, match=r"in epoch 2, and the network is broken"):
            train(small(), toy_data, run)
    assert Checkpoint.load(run).progress.epochs == 1
    train(small(), toy_data, run, resume=True)
    assert (run / "model").is_dir()


def test_data_without_attributes(toy_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no attribute annotations to train on"):
        train(small(), toy_data / "test", tmp_path / "run")


def test_a_folder_with_the_users_own_recipe_is_left_alone(toy_data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("# mine\n" + small().to_yaml())
    with pytest.raises(InputError, match="exists and is not a training run"):
        train(small(), toy_data, tmp_path, resume=True)
    assert recipe.read_text().startswith("# mine")


def test_a_run_is_not_resumed_with_other_data(toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(small(), toy_data, run, listener=stopping_after(1))
    write_toy(tmp_path / "other", 24, seed=2, crops_per_person=6)
    victim = min((tmp_path / "other" / "train").iterdir())
    victim.rename(victim.with_name("0001_c1_999999999.jpg"))
    with pytest.raises(InputError, match="was begun with other data"):
        train(small(), tmp_path / "other", run, resume=True)


def test_what_people_read_of_a_run_is_not_what_it_goes_on_from(
    toy_data: Path, tmp_path: Path
) -> None:
    """A kill may come between the checkpoint and the two other files."""
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(small(), toy_data, run, listener=stopping_after(2))
    (run / "recipe.yaml").write_text("- 1")
    (run / "log.csv").unlink()
    with pytest.raises(InputError, match=r"differs from the given recipe in seed: resume with"):
        train(small("seed=7"), toy_data, run, resume=True)
    train(small(), toy_data, run, resume=True)
    epochs = [row["epoch"] for row in csv.DictReader((run / "log.csv").open())]
    assert epochs == ["1", "2", "3", "4"]
    assert yaml.safe_load((run / "recipe.yaml").read_text())["name"] == "smoke"


def test_two_trainings_into_one_folder(toy_data: Path, tmp_path: Path) -> None:
    def second(*_: object) -> None:
        with pytest.raises(InputError, match="Another process is training into .*: wait for it"):
            train(small("seed=5"), toy_data, run)
        tried.append(1)
        raise Stop

    run = tmp_path / "run"
    tried: list[int] = []
    with pytest.raises(Stop):
        train(small(), toy_data, run, listener=Listener(on_step=second))
    assert tried
    assert not run.exists()


def test_other_processes_of_torchrun_work_in_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_run(tmp_path / "a" / "run"):
        monkeypatch.setenv("RANK", "1")
        with open_run(tmp_path / "a" / "run"):
            monkeypatch.setenv("RANK", "0")
        with pytest.raises(InputError, match="Another process"), open_run(tmp_path / "a" / "run"):
            pass
    assert not list(tmp_path.iterdir())


def test_a_finished_run_without_its_weights_writes_them_again(
    finished: Path, toy_data: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    weights = run / "model" / "model.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    (run / ".model.x1y2z3").mkdir()
    train(small(), toy_data, run, resume=True)
    assert weights.read_bytes() == before
    assert not any(p.name.startswith(".") for p in run.iterdir())


def test_a_run_that_may_not_be_written_to(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known before the first epoch."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with pytest.raises(InputError, match="permission denied: choose another place, or change who"):
        train(small(), toy_data, tmp_path / "run", listener=Listener(on_step=interrupt))
    assert not (tmp_path / "run").exists()


def test_a_full_disk_at_the_checkpoint(toy_data, tmp_path, monkeypatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="the disk is full: free some space"):
        train(small(), toy_data, tmp_path / "run")
    monkeypatch.undo()
    assert not (tmp_path / "run" / CHECKPOINT).exists()


IDENTITY = [
    "batch_size=16",
    "instances_per_person=4",
    "model.neck=batchnorm",
    "model.pool=gem",
    "loss.identity={weight: 1, reweighting: true}",
    "loss.metric={kind: weighted_triplet}",
]


def test_identity_is_learned_and_resumed(toy_data: Path, tmp_path: Path) -> None:
    recipe = small(*IDENTITY)
    train(recipe, toy_data, tmp_path / "whole")
    with pytest.raises(Stop):
        train(recipe, toy_data, tmp_path / "cut", listener=stopping_after(3))
    train(recipe, toy_data, tmp_path / "cut", resume=True)
    weights = [load_file(tmp_path / r / "model" / "model.safetensors") for r in ("whole", "cut")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    info = RuntimeModel.load(tmp_path / "whole").info
    assert info.tasks == ("attributes", "identity")


def test_identity_needs_no_annotation(toy_data: Path, tmp_path: Path) -> None:
    crops = read_crops(toy_data)
    for person, path in zip(crops.person, crops.paths, strict=True):
        folder = tmp_path / "people" / person
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())
    recipe = small(*IDENTITY, "loss.attributes.weight=0", "loss.identity.reweighting=false")
    train(recipe, tmp_path / "people", tmp_path / "run")
    assert RuntimeModel.load(tmp_path / "run").info.tasks == ("identity",)
    with pytest.raises(InputError, match="choose a recipe that learns identity alone"):
        train(small(), tmp_path / "people", tmp_path / "other")


def test_a_network_that_learns_identity_alone_answers_no_attributes(
    toy_data: Path, tmp_path: Path
) -> None:
    """Though the crops have labels, and with persons found among others too."""
    recipe = small(
        *IDENTITY,
        "loss.attributes.weight=0",
        "loss.identity.reweighting=false",
        "data.calibration_persons=5",
        "phases.1.pseudo_labels=true",
        "pseudo_labels={radius: 0.9, crops: 2}",
        f"data.unlabelled={toy_data / 'test'}",
    )
    model = RuntimeModel.load(train(recipe, toy_data, tmp_path / "run"))
    assert (model.schema, model.info.tasks) == (None, ("identity",))
    assert model.info.training.pseudo_persons > 0
    assert model.info.training.frequencies == ()
    assert [known["distance"]["features"] for known in model.info.distances] == ["embedding"]
    assert model.embed(read_crops(toy_data)[:2]).attributes is None
    weights = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert not any("attribute" in name for name in weights)
    later = small(f"model.weights={tmp_path / 'run'}", "model.neck=batchnorm", "model.pool=gem")
    later = later.model_copy(update={"data": recipe.data.model_copy(update={"unlabelled": ()})})
    assert RuntimeModel.load(train(later, toy_data, tmp_path / "later")).schema is not None


def with_labels(crops: Crops, columns: int) -> Crops:
    """Attributes of one's own: whether the crop's person is even, or a multiple of three, …"""
    owner = crops.person_codes - 1
    labels = np.stack([owner % (n + 2) == 0 for n in range(columns)], axis=1).astype(np.float32)
    names = ("Skirt&Dress", "Age18-60", "helmet")[:columns]
    return crops.replace(labels=labels, schema=Schema.of(names))


def without_persons(crops: Crops) -> Crops:
    return crops.replace(person=None, camera=None, dataset=None)


def test_attributes_are_learned_without_persons(toy_data: Path, tmp_path: Path) -> None:
    """Split by image; the first crops lack a label, and nobody knows about helmets."""
    crops = with_labels(read_crops(toy_data), 3)
    labels = crops.labels.copy()
    labels[:20, 0] = np.nan
    labels[:, 2] = np.nan
    crops = without_persons(crops.replace(labels=labels))
    recipe = small("data.held_out_persons=30", "data.calibration_persons=20")
    said: list[str] = []
    model = RuntimeModel.load(
        train(recipe, crops, tmp_path / "run", listener=Listener(said.append))
    )
    assert "94 crops (30 held out, 20 for calibration)" in said[0]
    assert model.schema == crops.schema
    training = model.info.training
    assert (training.persons, training.calibration_persons, training.held_out_persons) == ({},) * 3
    split = Split.of(crops, recipe)
    assert model.seen.training.tolist() == sorted(hash_files(split.train).tolist())
    assert model.seen.calibration.tolist() == sorted(hash_files(split.calibration).tolist())
    np.testing.assert_allclose(
        training.frequencies, [*np.nanmean(split.train.labels[:, :2], axis=0), 0.5], rtol=1e-6
    )
    assert model.info.distances == ()
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    for identity in (IDENTITY, ["instances_per_person=4"]):
        with pytest.raises(InputError, match="^These crops have no persons to tell apart: name th"):
            train(small(*identity), crops, tmp_path / "other")


def test_unknown_labels_teach_nothing(toy_data: Path, tmp_path: Path) -> None:
    """What is written where a label is unknown does not matter: here it is NaN, from the start."""
    crops = with_labels(read_crops(toy_data), 2)
    recipe = small("phases.0.epochs=1", "phases.1.epochs=1", "loss.attributes.weighting=none")
    labels = crops.labels.copy()
    labels[:, 1] = np.nan
    train(recipe, crops.replace(labels=labels), tmp_path / "run")
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    # no gradient, so that the weights of the optimiser's decay alone remain
    weights, others = found["attribute_head.weight"][1], found["attribute_head.bias"]
    assert others[1] == 0
    assert others[0] != 0
    assert weights.isfinite().all()


def test_images_in_memory_are_learned_from(finished: Path, toy_data: Path, tmp_path: Path) -> None:
    """Decoded before, they give the very weights that their files give."""
    crops = read_crops(toy_data)
    held = crops.replace(images=[load_crop(crops, row) for row in range(len(crops))])
    train(small(), held, tmp_path / "run")
    expected = load_file(finished / "model" / "model.safetensors")
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    with pytest.raises(InputError, match=r"names files, but the annotated crops are in memory"):
        train(small(*UNLABELLED, f"data.unlabelled={toy_data / 'test'}"), held, tmp_path / "other")


def test_two_datasets_may_use_one_name_for_two_persons(toy_data: Path, tmp_path: Path) -> None:
    """24 persons in each of two, by the same names, are 48."""
    write_toy(tmp_path / "more", 24, seed=2, crops_per_person=6)
    parts = [
        read_crops(folder).replace(dataset=[name] * 144)
        for name, folder in (("here", toy_data), ("there", tmp_path / "more"))
    ]
    crops = concatenate(parts)
    recipe = small(*IDENTITY, "phases.0.epochs=1", "phases.1.epochs=1")
    train(recipe, crops, tmp_path / "run")
    training = RuntimeModel.load(tmp_path / "run").info.training
    assert training.persons.keys() == {"here", "there"}
    assert sum(map(len, training.persons.values())) == 42
    assert sum(map(len, training.held_out_persons.values())) == 6
    weights = load_file(tmp_path / "run" / CHECKPOINT)
    assert len(weights["model.training_module.classifier.weight"]) == 42


def test_going_on_from_an_earlier_run(finished: Path, toy_data: Path, tmp_path: Path) -> None:
    gentle = ["phases.0.learning_rate=1e-12", "phases.1.learning_rate=1e-12"]
    train(small(f"model.weights={finished}", *gentle), toy_data, tmp_path / "run")
    before = load_file(finished / "model" / "model.safetensors")["attribute_head.weight"]
    after = load_file(tmp_path / "run" / "model" / "model.safetensors")["attribute_head.weight"]
    torch.testing.assert_close(after, before)


def test_another_pool_and_no_neck_start_anew(toy_data: Path, tmp_path: Path) -> None:
    earlier, later = ["model.pool=gem", "model.neck=batchnorm"], ["model.pool=average"]
    train(small(*earlier), toy_data, tmp_path / "gem")
    gentle = ["phases.0.learning_rate=1e-12", "phases.1.learning_rate=1e-12", "model.neck=none"]
    train(small(f"model.weights={tmp_path / 'gem'}", *later, *gentle), toy_data, tmp_path / "run")
    before, after = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("gem", "run")
    )
    assert "pool.p" in before
    assert not any(name.startswith(("pool.", "neck.")) for name in after)
    torch.testing.assert_close(after["attribute_head.weight"], before["attribute_head.weight"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.seed=5", "was trained on persons that this recipe holds out"),
        ("data.calibration_persons=4", "both the same data.seed and data.calibration_persons"),
        ("model.attention.kind=spatial", "is another network than the recipe's"),
        ("model.weights=/", "is not a model file"),
    ],
)
def test_what_cannot_be_gone_on_from(
    finished: Path, toy_data: Path, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(small(f"model.weights={finished}", override), toy_data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_held_out_crops_are_known_again_whatever_their_names(
    finished: Path, toy_data: Path, tmp_path: Path
) -> None:
    """The earlier run saw the files; here they lie elsewhere, under other names and persons."""
    crops = read_crops(toy_data)
    for row, (person, path) in enumerate(zip(crops.person, crops.paths, strict=True)):
        folder = tmp_path / "copy" / f"p{person}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.jpg").write_bytes(path.read_bytes())
    copies = read_crops(tmp_path / "copy")
    copies = copies.replace(labels=np.zeros((144, 32)), schema=crops.schema)
    recipe = small(f"model.weights={finished}", "data.seed=1")
    with pytest.raises(InputError, match="was trained on persons that this recipe holds out"):
        train(recipe, copies, tmp_path / "run")
    # the same persons held out: they are sorted alike
    train(small(f"model.weights={finished}", "phases.0.epochs=1"), copies, tmp_path / "run")


def test_a_model_of_other_attributes_is_not_gone_on_from(
    finished: Path, toy_data: Path, tmp_path: Path
) -> None:
    crops = with_labels(read_crops(toy_data), 2)
    with pytest.raises(
        InputError,
        match=r"answers other attributes \(market1501-attributes\) than the data are annotated "
        r"with \(Skirt&Dress, Age18-60\): choose",
    ):
        train(small(f"model.weights={finished}"), crops, tmp_path / "run")


UNLABELLED = [
    "loss.identity.weight=1",
    "phases.1.pseudo_labels=true",
    "pseudo_labels={radius: 0.9, crops: 2}",
]


@pytest.fixture(scope="module")
def self_taught(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """A run that learned from unlabelled crops in its second phase; read only."""
    run = tmp_path_factory.mktemp("runs") / "self-taught"
    train(small(*UNLABELLED, f"data.unlabelled={toy_data / 'test'}"), toy_data, run)
    return run


def test_unlabelled_crops_are_learned_from(self_taught: Path, toy_data: Path) -> None:
    training = RuntimeModel.load(self_taught).info.training
    checkpoint = load_file(self_taught / CHECKPOINT)
    persons = checkpoint["pseudo_labels.persons"]
    assert len(persons) == len(read_crops(toy_data, "gallery"))
    assert training.pseudo_persons == persons.max() + 1 > 0
    assert training.pseudo_crops == (persons >= 0).sum()
    assert training.unlabelled_crops == len(persons)
    others = hash_files(read_crops(toy_data, "gallery"))
    seen = SeenFiles.read(self_taught / "model")
    assert seen.unlabelled.tolist() == sorted(set(others.tolist()))
    assert len(checkpoint["pseudo_labels.vectors"]) == training.pseudo_persons
    # the classifier knows them, the provenance tells them from the annotated ones
    classes = len(checkpoint["model.training_module.classifier.weight"])
    assert classes == len(training.persons["course"]) + training.pseudo_persons
    rows = list(csv.DictReader((self_taught / "log.csv").open()))
    speed = [float(row["crops_per_second"]) * float(row["seconds"]) for row in rows]
    per_epoch = [round(crops / 32) for crops in speed]
    assert per_epoch == [108 // 32] * 2 + [(108 + training.pseudo_crops) // 32] * 2


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_what_was_found_is_resumed_too(
    self_taught: Path, toy_data: Path, tmp_path: Path, epoch: int
) -> None:
    recipe = small(*UNLABELLED, f"data.unlabelled={toy_data / 'test'}")
    with pytest.raises(Stop):
        train(recipe, toy_data, tmp_path / "run", listener=stopping_after(epoch))
    train(recipe, toy_data, tmp_path / "run", resume=True)
    expected, found = (load_file(r / CHECKPOINT) for r in (self_taught, tmp_path / "run"))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_persons_are_forgotten_where_a_phase_does_not_want_them(
    toy_data: Path, tmp_path: Path
) -> None:
    values = [*UNLABELLED, f"data.unlabelled={toy_data / 'test'}", "phases.1.epochs=1"]
    phases = small(*values, "phases.0.epochs=1").phases
    recipe = small(*values).model_copy(update={"phases": (*phases, phases[0])})
    train(recipe, toy_data, tmp_path / "run")
    checkpoint = load_file(tmp_path / "run" / CHECKPOINT)
    assert len(checkpoint["model.training_module.classifier.weight"]) == 18
    assert not any(name.startswith("pseudo_labels") for name in checkpoint)
    assert RuntimeModel.load(tmp_path / "run").info.training.pseudo_persons == 0


@pytest.mark.slow
def test_two_processes_learn_from_the_same_persons(toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    values = [*SMALL, *UNLABELLED, f"data.unlabelled={toy_data / 'test'}"]
    told = train_with_two_processes(toy_data, run, values)
    assert told.count(" unlabelled crops ") == 1
    assert RuntimeModel.load(run).info.training.pseudo_persons > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["phases.1.pseudo_labels=true"], "name their folder in data.unlabelled"),
        (["data.unlabelled=[{test}]"], "but no phase of the recipe has pseudo_labels"),
        (
            ["phases.1.pseudo_labels=true", "data.unlabelled=[{test}, {train}]"],
            r"train/.* belongs to the annotated data, where persons are held out",
        ),
        (
            ["phases.1.pseudo_labels=true", "data.unlabelled={test}/none"],
            "data.unlabelled: .*none does not exist: give a folder of crops",
        ),
        (
            ["phases.0.pseudo_labels=true", "data.unlabelled={test}"],
            "phases.0.pseudo_labels: the first phase begins with a network that knows nobody",
        ),
    ],
)
def test_unlabelled_crops_that_cannot_be_learned_from(
    toy_data: Path, tmp_path: Path, values: list[str], message: str
) -> None:
    places = {name: toy_data / name for name in ("test", "train")}
    with pytest.raises(InputError, match=message):
        train(small(*(v.format(**places) for v in values)), toy_data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_broken_unlabelled_crop_is_known_before_the_first_epoch(
    toy_data: Path, tmp_path: Path
) -> None:
    others = tmp_path / "others"
    shutil.copytree(toy_data / "test", others)
    broken = others / "zzz.jpg"
    recipe = small(*UNLABELLED, f"data.unlabelled={others}")
    broken.write_text("no image")
    with pytest.raises(InputError, match=r"zzz\.jpg is not an image: replace or remove it"):
        train(recipe, toy_data, tmp_path / "run")
    broken.unlink()
    broken.symlink_to(broken)
    with pytest.raises(InputError, match=r"Cannot read .*zzz\.jpg: Too many levels of symbolic"):
        train(recipe, toy_data, tmp_path / "run")


def test_a_broken_calibration_crop_is_known_before_the_first_epoch(
    toy_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(toy_data, data)
    recipe = small("data.calibration_persons=5")
    kept = Split.of(read_crops(data), recipe).calibration
    assert kept is not None
    kept.paths[-1].write_text("no image")
    with pytest.raises(InputError, match=rf"{kept.paths[-1].name} is not an image: replace or"):
        train(recipe, data, tmp_path / "run")
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_a_crop_that_moved_to_another_folder(toy_data: Path, tmp_path: Path) -> None:
    """Labels stand in the order of the crops: they would be those of others."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, source in zip(folders, ("test", "queries"), strict=True):
        shutil.copytree(toy_data / source, folder)
    recipe = small(*UNLABELLED, f"data.unlabelled=[{folders[0]}, {folders[1]}]")
    with pytest.raises(Stop):
        train(recipe, toy_data, tmp_path / "run", listener=stopping_after(3))
    moved = max(folders[0].iterdir())
    moved.rename(folders[1] / moved.name)
    with pytest.raises(InputError, match="was begun with other data"):
        train(recipe, toy_data, tmp_path / "run", resume=True)


def test_a_copy_of_an_annotated_crop_is_not_of_others(toy_data: Path, tmp_path: Path) -> None:
    others = Path(shutil.copytree(toy_data / "test", tmp_path / "others"))
    shutil.copy(min((toy_data / "train").iterdir()), others / "zzz.jpg")
    recipe = small(*UNLABELLED, f"data.unlabelled={others}")
    with pytest.raises(InputError, match=r"data\.unlabelled: .*zzz\.jpg belongs to the annotated"):
        train(recipe, toy_data, tmp_path / "run")


def test_people_of_one_frame_are_two_unlabelled_crops(toy_data: Path, tmp_path: Path) -> None:
    shutil.copy(min((toy_data / "test").iterdir()), tmp_path / "frame.jpg")
    table = "path,box\nframe.jpg,0 0 20 60\nframe.jpg,20 0 20 60\nframe.jpg,0 0 20 60\n"
    rows = table.splitlines(keepends=True)
    (tmp_path / "crops.csv").write_text("".join(rows[:3]))
    recipe = small(*UNLABELLED, f"data.unlabelled={tmp_path / 'crops.csv'}")
    found = Unlabelled.of(recipe, read_crops(toy_data))
    assert found is not None
    assert found.crops.box.tolist() == [[0, 0, 20, 60], [20, 0, 20, 60]]


def test_the_same_folder_twice_counts_once(toy_data: Path) -> None:
    crops = read_crops(toy_data)
    test = toy_data / "test"
    once, twice = (
        Unlabelled.of(small(*UNLABELLED, f"data.unlabelled={folders}"), crops)
        for folders in (f"[{test}]", f"[{test}, {test}]")
    )
    assert once is not None
    assert twice is not None
    assert twice.crops.paths == once.crops.paths


def test_crops_of_earlier_phases_are_let_go(toy_data: Path, tmp_path: Path) -> None:
    values = [*UNLABELLED, f"data.unlabelled={toy_data / 'test'}"]
    phases = small(*values, "phases.0.epochs=1", "phases.1.epochs=1").phases
    recipe = small(*values).model_copy(update={"phases": phases * 3})
    alive: list[int] = []

    def count(row: EpochRow) -> None:
        gc.collect()
        alive.append(sum(type(thing) is CropDataset for thing in gc.get_objects()))

    gc.collect()
    before = sum(type(thing) is CropDataset for thing in gc.get_objects())
    train(recipe, toy_data, tmp_path / "run", listener=Listener(on_epoch=count))
    assert [number - before for number in alive] == [1] * 6


def test_a_run_of_an_older_version_is_resumed(toy_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(small(), toy_data, run, listener=stopping_after(1))
    written = yaml.safe_load((run / "recipe.yaml").read_text())
    del written["data"]["unlabelled"], written["pseudo_labels"]
    (run / "recipe.yaml").write_text(yaml.safe_dump(written))
    assert train(small(), toy_data, run, resume=True).is_dir()


@pytest.mark.parametrize("value", ["5", "", "true", "''", "['']"])
def test_what_is_no_folder(value: str) -> None:
    with pytest.raises(InputError, match=r"data\.unlabelled: give the name of a folder, or a list"):
        small(f"data.unlabelled={value}")
