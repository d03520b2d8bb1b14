"""The training loop."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import accelerate
import numpy as np
import timm
import torch
from accelerate import Accelerator
from accelerate.data_loader import DataLoaderShard
from accelerate.utils import DataLoaderConfiguration
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms.v2.functional import resize

import passerby
from passerby.calibration.fitting import calibrate_distances
from passerby.calibration.matcher import Matcher
from passerby.data.crops import Crops, attribute_frequencies
from passerby.data.decoding import batches, decode_all
from passerby.data.schema import Schema
from passerby.errors import InputError
from passerby.evaluation.thresholds import choose_decision
from passerby.files import write_text
from passerby.inference.decision import Decision
from passerby.inference.embeddings import Embeddings
from passerby.inference.leakage import SeenFiles
from passerby.inference.model_info import Provenance
from passerby.inference.model_location import MODEL_FOLDER
from passerby.inference.runtime_model import normalize_pixels, sigmoid
from passerby.models.model_file import save_model
from passerby.models.person_model import PersonModel, outputs_of
from passerby.training.attribute_loss import AttributeLoss
from passerby.training.checkpoint import (
    Checkpoint,
    Progress,
    optimizer_tensors,
    restore_optimizer,
)
from passerby.training.crop_dataset import TrainingBatch
from passerby.training.depthwise import DepthwiseGradients
from passerby.training.distributed import broadcast_from_first
from passerby.training.hardware import (
    choose_precision,
    emulates_bf16,
    keep_freed_memory,
    machine,
    peak_memory_mb,
)
from passerby.training.initialization import Earlier, initial_model, with_earlier_network
from passerby.training.loader import training_loader
from passerby.training.log import EpochRow, write_log
from passerby.training.multitask_loss import LossMeans, MultitaskLoss
from passerby.training.optimizers import build_optimizer, learning_rate, set_learning_rate
from passerby.training.pseudo_labels import PseudoLabels
from passerby.training.recipe import Phase, Recipe
from passerby.training.run import (
    RECIPE_NAME,
    TRACKER,
    check_run,
    is_finished,
    is_first_process,
    open_run,
)
from passerby.training.sources import Data, check_sources, read_sources, unused_keys
from passerby.training.split import Split
from passerby.training.training_module import TrainingModule
from passerby.training.training_samples import TrainingSamples


@dataclass(frozen=True)
class Listener:
    """What a training run tells while it goes on; every part may be left out.

    Attributes:
        say: called with a sentence on what is trained, and on what went wrong on the way.
        on_decode: called with (crops decoded, all crops).
        on_step: called with (steps done, all steps of the run, loss of the step); both as if every
            epoch had as many steps as this one.
        on_epoch: called with each epoch's row of the log.
    """

    say: Callable[[str], None] | None = None
    on_decode: Callable[[int, int], None] | None = None
    on_step: Callable[[int, int, float], None] | None = None
    on_epoch: Callable[[EpochRow], None] | None = None


def train(
    recipe: Recipe,
    data: Data | Sequence[Data],
    run: Path,
    *,
    resume: bool = False,
    listener: Listener | None = None,
) -> Path:
    """Train as a recipe says; write checkpoints, log and, at the end, the model file.

    On one CPU the same recipe and data give the same weights, interrupted and resumed or not.

    Args:
        recipe: everything about the run.
        data: an annotated dataset, or its crops; or several of them.
        run: the run's folder.
        resume: continue an interrupted run.
        listener: told about the progress.

    Returns:
        The model file.

    Raises:
        InputError: the data or the run's folder is not as it has to be.
    """
    listener = listener or Listener()
    recipe = with_earlier_network(recipe)
    check_run(run, recipe, resume)
    if is_finished(run):
        if listener.say and is_first_process():
            listener.say(f"{run} has finished already: nothing is left to train.")
        return run / MODEL_FOLDER
    keep_freed_memory()
    sources = read_sources(recipe.data, data, labels="attributes" in recipe.tasks)
    _tell(listener, (remark for source in sources for remark in source.remarks))
    check_sources(sources, recipe)
    _tell(listener, unused_keys(recipe, sources))
    split = Split.of(sources, recipe)
    with open_run(run):
        check_run(run, recipe, resume)  # another process may have been there meanwhile
        return TrainingRun(recipe, split, run, listener).to_the_end()


def _tell(listener: Listener, sentences: Iterable[str]) -> None:
    if listener.say and is_first_process():
        for sentence in sentences:
            listener.say(sentence)


class TrainingRun:
    """One training run from its checkpoint, if any, to its model file."""

    def __init__(self, recipe: Recipe, split: Split, folder: Path, listener: Listener) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.split = split
        self.folder = folder
        self.accelerator = _accelerator(folder)
        self.listener = listener if self.accelerator.is_main_process else Listener()
        self.schema = split.train.schema if "attributes" in recipe.tasks else None
        self.earlier = Earlier.of(recipe.model, self.schema, split)
        if "attributes" in recipe.tasks and self.schema is None:
            self.schema = self._remembered_schema()
        self.checkpoint = Checkpoint.load(folder)
        self.begun_with = split.begun_with
        if self.earlier is not None:
            self.begun_with += f"+{self.earlier.info.fingerprint}"
        if self.checkpoint and self.checkpoint.progress.data != self.begun_with:
            weights = "" if self.earlier is None else ", or another model.weights"
            raise InputError(
                f"{folder} was begun with other data{weights}: resume with the same, or choose "
                "another folder."
            )
        model = (
            PersonModel(recipe.model.architecture, self.schema)
            if self.checkpoint
            else initial_model(recipe.model, self.schema, self.earlier)
        )
        for number, phase in enumerate(recipe.phases):
            if phase.size:
                backbone = recipe.model.backbone
                model.backbone.check_size(phase.size, f"phases.{number}.size", backbone)
        self.found: PseudoLabels | None = None
        if self.checkpoint and self.checkpoint.pseudo_labels:
            self.found = PseudoLabels.from_tensors(self.checkpoint.pseudo_labels)
        self.remembered: PseudoLabels | None = None
        if self.earlier and recipe.model.adapt and len(split.train):
            self.remembered = self._remembered(model)
        samples = self._samples()
        if not self.checkpoint:
            split.check(recipe.model.size, self.listener.on_decode)
        training_module = TrainingModule(model, samples.person_count, recipe.loss.identity)
        multitask_loss = MultitaskLoss(
            training_module,
            recipe.loss,
            self._attribute_loss(),
            samples.set_names,
            torch.from_numpy(samples.person_sets),
        )
        if self.remembered is not None and not self.checkpoint:
            training_module.replace_persons(0, self.remembered.tensors["vectors"])
        self.average = _average(model, recipe.ema_decay)
        if self.checkpoint:
            self.checkpoint.restore(multitask_loss, self.average)
        if self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda":
            # torch has no such normalisation for CPUs
            multitask_loss = convert_sync_batchnorm(multitask_loss)
        self.frozen = model.freeze(recipe.model.frozen_stages)
        self.precision = choose_precision(recipe.precision, self.accelerator.device)
        # of unlabelled crops alone, the first phase begins by looking for persons
        self.loader: DataLoaderShard | None = None
        if len(samples):
            self.loader = training_loader(
                recipe, samples, self.accelerator, self.listener.on_decode
            )
        self.multitask_loss: nn.Module = self.accelerator.prepare(
            multitask_loss.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        )
        if self.average:
            self.average.to(self.accelerator.device)
        self.normalise = _Normalise(model).to(self.accelerator.device)

    @property
    def person_model(self) -> PersonModel:
        """The network that training ends with, without what is wrapped around it."""
        if self.average:
            return self.average.module  # type: ignore[return-value]
        return self.accelerator.unwrap_model(self.multitask_loss).training_module.model

    @property
    def summary(self) -> str:
        """What is trained, on whom and on what, in one sentence."""
        crops = self.split.train
        if not len(crops) and self.split.unlabelled is not None:
            crops = self.split.unlabelled.crops
        held_out = self.split.held_out
        left = 0 if held_out is None else _count(held_out)
        kept = self.split.calibration
        calibrated_on = "" if kept is None else f", {_count(kept)} for calibration"
        persons = f" of {crops.person_count} persons" if crops.has_persons else ""
        begun = f", {self.checkpoint.progress.epochs} done" if self.checkpoint else ""
        return (
            f"{self.recipe.model.backbone} on {len(crops):,} crops{persons} "
            f"({left} held out{calibrated_on}), {self.recipe.epochs} epochs{begun}; "
            f"{self.accelerator.device.type}, {self.precision}."
        )

    def to_the_end(self) -> Path:
        """Run the remaining epochs and write the model file."""
        self._say(self.summary)
        if self.precision == "bf16" and emulates_bf16(self.accelerator.device):
            self._say("This CPU has no bf16 instructions: precision fp32 is much faster.")
        self.accelerator.init_trackers(TRACKER)
        recipe = self.recipe.model_dump(mode="json")
        progress = Progress(recipe, self.begun_with, 0.0, ())
        if self.checkpoint:
            progress = replace(self.checkpoint.progress, recipe=recipe)
            self._tell(progress)  # a kill may have come between
        done, seconds = progress.epochs, progress.seconds
        optimizer: Optimizer | None = None
        for epoch, number, phase, in_phase in _schedule(self.recipe):
            if epoch < done:
                continue
            if in_phase == 0:
                started = time.perf_counter()
                self._find_persons(phase)
                seconds += time.perf_counter() - started
            if optimizer is None or in_phase == 0:
                optimizer = self.new_optimizer(phase, resumed=in_phase > 0 and epoch == done)
            row = self._epoch(epoch, number, phase, in_phase, optimizer)
            seconds += row.seconds
            progress = replace(progress, seconds=seconds, rows=(*progress.rows, row))
            if self.accelerator.is_main_process:
                state = optimizer_tensors(optimizer.optimizer)  # type: ignore[attr-defined]
                weights = self.accelerator.unwrap_model(self.multitask_loss).state_dict()
                average = self.average.state_dict() if self.average else {}
                found = {} if self.found is None else self.found.tensors
                Checkpoint(progress, weights, average, state, found).save(self.folder)
            self._tell(progress)
            self.accelerator.log({"loss": row.loss, "lr": row.learning_rate}, step=row.epoch)
            if self.listener.on_epoch:
                self.listener.on_epoch(row)
        if self.accelerator.is_main_process:
            self._save(seconds)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return self.folder / MODEL_FOLDER

    def _tell(self, progress: Progress) -> None:
        """Write what the checkpoint says of the run, for people to read."""
        if self.accelerator.is_main_process:
            write_log(self.folder, progress.rows)
            write_text(self.folder / RECIPE_NAME, self.recipe.to_yaml())

    def new_optimizer(self, phase: Phase, *, resumed: bool) -> Optimizer:
        """Return the phase's optimiser, with the checkpoint's state if it is resumed."""
        optimizer = build_optimizer(phase, self.multitask_loss)
        if resumed and self.checkpoint:
            restore_optimizer(optimizer, self.checkpoint.optimizer)
        return self.accelerator.prepare(optimizer)  # type: ignore[no-any-return]

    def _samples(self) -> TrainingSamples:
        """Return what the present phase learns from."""
        crops = self.split.train if self.schema else self.split.train.without_labels()
        samples = TrainingSamples.of(crops, 0 if self.schema is None else len(self.schema))
        if self.remembered is not None and self._knows_attributes:
            samples = samples.with_attributes(self.remembered)
        if self.split.unlabelled is None or self.found is None:
            return samples
        return samples.with_others(self.split.unlabelled.crops, self.found)

    @property
    def _knows_attributes(self) -> bool:
        """Whether an earlier model answers the attributes that are learned."""
        return (
            self.schema is not None
            and self.earlier is not None
            and self.earlier.info.schema_ is not None
        )

    def _remembered_schema(self) -> Schema:
        """Return the attributes that an earlier model knows, where the data know none."""
        assert self.earlier is not None
        schema = self.earlier.info.schema_
        if schema is None:
            raise InputError(
                f"Neither model.weights, {self.earlier.source}, nor the data know any attributes: "
                "set loss.attributes.weight=0."
            )
        return schema

    def _remembered(self, begun: PersonModel) -> PseudoLabels:
        """Return what the earlier model sees of the persons that are trained on."""
        model = begun
        if self.checkpoint:
            model = initial_model(self.recipe.model, self.schema, self.earlier)
        crops = self.split.train.without_labels()
        people = self._embedded(model.to(self.accelerator.device), crops)
        return PseudoLabels.of_persons(people, TrainingSamples.of(crops).persons)

    def _attribute_loss(self) -> AttributeLoss | None:
        if self.schema is None:
            return None
        groups = self.schema.groups.values() if self.recipe.model.groups == "softmax" else ()
        known = np.array(self._frequencies())
        return AttributeLoss(self.recipe.loss.attributes, known, groups)

    def _frequencies(self) -> tuple[float, ...]:
        """Return how frequent each attribute is: as annotated, or as the earlier model has it."""
        if self.schema is None:
            return ()
        unknown = np.full(len(self.schema), 0.5)
        if self.recipe.model.adapt and self._knows_attributes and self.earlier:
            unknown = np.array(self.earlier.info.training.frequencies or unknown)
        if self.split.train.labels is None:
            return tuple(unknown.tolist())
        found = attribute_frequencies(self.split.train)
        return tuple(np.where(np.isnan(found), unknown, found).tolist())

    def _find_persons(self, phase: Phase) -> None:
        """Look for persons among the unlabelled crops, if the phase that begins wants them."""
        before = self.found
        self.found = self._pseudo_labels() if phase.pseudo_labels else None
        if before is None and self.found is None:
            return
        samples = self._samples()
        multitask_loss: MultitaskLoss = self.accelerator.unwrap_model(self.multitask_loss)
        self.accelerator.free_memory()  # it would keep the crops of every phase
        known = TrainingSamples.of(self.split.train).person_count
        vectors = torch.zeros(0, 0) if self.found is None else self.found.tensors["vectors"]
        multitask_loss.training_module.replace_persons(known, vectors.to(self.accelerator.device))
        multitask_loss.set_names = samples.set_names
        multitask_loss.person_sets = torch.from_numpy(samples.person_sets)
        self.multitask_loss = self.accelerator.prepare(multitask_loss)
        self.loader = training_loader(
            self.recipe, samples, self.accelerator, self.listener.on_decode
        )

    def _pseudo_labels(self) -> PseudoLabels:
        assert self.split.unlabelled is not None
        found: dict[str, Tensor] = {}
        if self.accelerator.is_main_process:
            people = self._embedded(self.person_model, self.split.unlabelled.crops)
            labels = PseudoLabels.of(people, self.recipe.pseudo_labels)
            if not len(self.split.train) and not labels.crops:
                raise InputError(
                    "None of these crops are alike enough to be a person, so that there is nobody "
                    "to learn from: choose a larger pseudo_labels.radius, or fewer "
                    "pseudo_labels.crops."
                )
            self._say(labels.summary)
            found = labels.tensors
        # two processes that differ in the last digit may find different persons
        return PseudoLabels.from_tensors(broadcast_from_first(found, self.accelerator.device))

    def _epoch(
        self, epoch: int, number: int, phase: Phase, in_phase: int, optimizer: Optimizer
    ) -> EpochRow:
        started = time.perf_counter()
        assert self.loader is not None
        steps = len(self.loader)
        self.loader.set_epoch(epoch)
        torch.manual_seed(_epoch_seed(self.recipe.seed, epoch, self.accelerator.process_index))
        self.multitask_loss.train()
        for module in self.frozen:
            module.eval()
        total = torch.zeros((), device=self.accelerator.device)
        means = LossMeans()
        for step, batch in enumerate(self.loader):
            set_learning_rate(optimizer, learning_rate(phase, in_phase + (step + 1) / steps))
            loss = self.step(batch, optimizer, phase.size)
            total += loss
            means.add(self.accelerator.unwrap_model(self.multitask_loss).last)
            if self.listener.on_step:
                done = epoch * steps + step + 1
                self.listener.on_step(done, self.recipe.epochs * steps, loss.item())
        mean_loss = self.accelerator.reduce(total / steps, reduction="mean").item()
        # the loss says nothing of the weights after the last step
        if not (math.isfinite(mean_loss) and _finite(self.multitask_loss)):
            or_precision = ", or with precision fp32" if self.precision == "bf16" else ""
            raise InputError(
                f"The loss is {mean_loss} in epoch {epoch + 1}, and the network is broken: train "
                f"into another folder with a lower phases.{number - 1}.learning_rate"
                f"{or_precision}."
            )
        seconds = time.perf_counter() - started
        return EpochRow(
            epoch=epoch + 1,
            phase=number,
            loss=mean_loss,
            learning_rate=learning_rate(phase, in_phase + 1),
            seconds=seconds,
            crops_per_second=steps * self.recipe.batch_size / seconds,
            losses=means.of_all(self.accelerator),
        )

    def step(
        self, batch: TrainingBatch, optimizer: Optimizer, size: tuple[int, int] | None = None
    ) -> Tensor:
        """Learn from one batch and return its loss.

        Args:
            batch: of the loader.
            optimizer: one that `new_optimizer` returned.
            size: height and width that the crops are scaled to; as they are if left out.
        """
        pixels = batch.pixels if size is None else resize(batch.pixels, list(size))
        device = self.accelerator.device.type
        half = self.precision == "bf16"
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss: Tensor = self.multitask_loss(self.normalise(pixels), batch)
        with DepthwiseGradients() if half and device == "cpu" else nullcontext():
            self.accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        if self.average:
            model = self.accelerator.unwrap_model(self.multitask_loss).training_module.model
            self.average.update_parameters(model)
        return loss.detach()

    def _save(self, seconds: float) -> None:
        model = self.person_model.cpu()
        people = self._calibration_people(model)
        seen = SeenFiles.of(
            training=self.split.train,
            unlabelled=None if self.split.unlabelled is None else self.split.unlabelled.crops,
            calibration=self.split.calibration,
        )
        save_model(
            model,
            self.folder / MODEL_FOLDER,
            name=self.recipe.name,
            tasks=self.recipe.tasks,
            decision=self._decision(people),
            distances=self._distances(people),
            training=self._provenance(seconds),
            seen=seen if self.earlier is None else seen.after(self.earlier.seen),
        )

    def _embedded(self, model: PersonModel, crops: Crops) -> Embeddings:
        """Run a network in memory, as it is now, over crops."""
        device = next(model.parameters()).device
        images = decode_all(crops, model.architecture.size)
        outputs = [
            outputs_of(model, torch.from_numpy(normalize_pixels(b, model.preprocessing)).to(device))
            for b in batches(images, 64)
        ]
        vectors = torch.cat([output.embedding for output in outputs]).cpu().numpy()
        if self.schema is None:
            return Embeddings(crops, vectors)
        logits = [output.attributes for output in outputs if output.attributes is not None]
        attributes = sigmoid(torch.cat(logits).cpu().numpy())
        return Embeddings(crops, vectors, attributes, self.schema)

    def _say(self, sentence: str) -> None:
        if self.listener.say:
            self.listener.say(sentence)

    def _distances(self, people: Embeddings | None) -> tuple[Matcher, ...]:
        if people is None or not people.crops.has_persons:
            return ()
        try:
            return calibrate_distances(
                people, self.recipe.tasks, self.recipe.data.calibration_pairs
            )
        except InputError as error:
            # the night's training is worth more than its thresholds
            self._say(f"The distances are not calibrated: {error}")
            return ()

    def _calibration_people(self, model: PersonModel) -> Embeddings | None:
        crops = self.split.calibration
        return None if crops is None else self._embedded(model, crops)

    def _decision(self, people: Embeddings | None) -> Decision:
        if people is None or people.crops.labels is None or "attributes" not in self.recipe.tasks:
            if self.recipe.model.adapt and self.split.train.labels is None and self.earlier:
                return self.earlier.info.decision
            return Decision("group")
        return choose_decision(people)

    def _provenance(self, seconds: float) -> Provenance:
        before = () if self.earlier is None else self.earlier.info.training.learned_from
        return Provenance(
            recipe=self.recipe.model_dump(mode="json"),
            learned_from=tuple(dict.fromkeys((*before, *self.split.learned_from))),
            persons=_names(self.split.train),
            calibration_persons=_names(self.split.calibration),
            held_out_persons=_names(self.split.held_out),
            crops=len(self.split.train),
            unlabelled_crops=0
            if self.split.unlabelled is None
            else len(self.split.unlabelled.crops),
            pseudo_persons=0 if self.found is None else len(self.found.vectors),
            pseudo_crops=0 if self.found is None else self.found.crops,
            frequencies=self._frequencies(),
            epochs=self.recipe.epochs,
            seconds=round(seconds, 1),
            peak_memory_mb=peak_memory_mb(),
            precision=self.precision,
            processes=self.accelerator.num_processes,
            machine=machine(),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={
                "passerby": passerby.__version__,
                "torch": torch.__version__,
                "timm": timm.__version__,
                "accelerate": accelerate.__version__,
            },
        )


class _Normalise(nn.Module):
    """uint8 crops to the network's input, on its device: as `normalised` does in NumPy."""

    def __init__(self, model: PersonModel) -> None:
        super().__init__()
        preprocessing = model.preprocessing
        std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)
        mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", mean / std)

    def forward(self, pixels: Tensor) -> Tensor:
        values = pixels.float() * self.scale - self.shift
        return values.contiguous(memory_format=torch.channels_last)


def _names(crops: Crops | None) -> dict[str, tuple[str, ...]]:
    return {} if crops is None or not crops.has_persons else crops.persons


def _count(crops: Crops) -> int:
    return crops.person_count if crops.has_persons else len(crops)


def _average(model: PersonModel, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    # the statistics of batch normalisation belong to the weights that they were measured with
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _schedule(recipe: Recipe) -> Iterator[tuple[int, int, Phase, int]]:
    """Yield each epoch with its phase's number from 1 on, the phase, and the epoch within it."""
    epoch = 0
    for number, phase in enumerate(recipe.phases, start=1):
        for in_phase in range(phase.epochs):
            yield epoch, number, phase, in_phase
            epoch += 1


def _finite(module: nn.Module) -> bool:
    values = (v for v in module.state_dict().values() if v.is_floating_point())
    return all(bool(torch.isfinite(v).all()) for v in values)


def _epoch_seed(seed: int, epoch: int, process: int) -> int:
    return (seed * 1_000_003 + epoch) * 1_009 + process


def _accelerator(folder: Path) -> Accelerator:
    return Accelerator(
        # without this accelerate starts no process group on a machine without accelerators
        cpu=not torch.accelerator.is_available(),
        # one process may train with several precisions, which accelerate's own setting forbids
        mixed_precision="no",
        dataloader_config=DataLoaderConfiguration(split_batches=True, even_batches=False),
        log_with=TRACKER,
        project_dir=folder,
    )
