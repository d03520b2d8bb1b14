"""What hands out training batches."""

from collections.abc import Callable

from accelerate import Accelerator
from accelerate.data_loader import DataLoaderShard
from torch.utils.data import DataLoader

from passerby.errors import InputError
from passerby.training.crop_dataset import CropDataset
from passerby.training.hardware import loader_workers
from passerby.training.recipe import Recipe
from passerby.training.samplers import BalancedSampler, EpochSampler, PersonSampler
from passerby.training.training_samples import TrainingSamples


def training_loader(
    recipe: Recipe,
    samples: TrainingSamples,
    accelerator: Accelerator,
    on_decode: Callable[[int, int], None] | None = None,
) -> DataLoaderShard:
    """Return the batches of a recipe, this process's part of each.

    Args:
        recipe: everything about the run.
        samples: what is learned from.
        accelerator: of the run.
        on_decode: called with (crops decoded, all crops).

    Raises:
        InputError: batches cannot be made of these samples, or not be shared by the processes.
    """
    if len(samples) < recipe.batch_size:
        raise InputError(
            f"batch_size is {recipe.batch_size}, but there are {len(samples)} training crops: "
            "choose a smaller one."
        )
    processes = accelerator.num_processes
    if recipe.batch_size % (processes * max(recipe.instances_per_person, 1)):
        raise InputError(
            f"batch_size is {recipe.batch_size} and instances_per_person "
            f"{recipe.instances_per_person}, which {processes} processes cannot share evenly: "
            "choose another batch_size, or another number of processes."
        )
    dataset = CropDataset(samples, recipe.model.size, recipe.augment, on_decode)
    workers = loader_workers(accelerator.device)
    loader = DataLoader(
        dataset,
        recipe.batch_size,
        sampler=_sampler(recipe, samples),
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=accelerator.device.type == "cuda",
    )
    return accelerator.prepare(loader)


def _sampler(recipe: Recipe, samples: TrainingSamples) -> EpochSampler:
    data = recipe.data
    asked = data.balance < 1 or data.epoch_crops
    if asked or (recipe.instances_per_person and (samples.persons < 0).any()):
        return BalancedSampler(
            samples,
            batch_size=recipe.batch_size,
            instances_per_person=recipe.instances_per_person,
            balance=data.balance,
            epoch_crops=data.epoch_crops,
            seed=recipe.seed,
        )
    if not recipe.instances_per_person:
        return EpochSampler(len(samples), recipe.seed)
    return PersonSampler(
        samples.persons, recipe.batch_size, recipe.instances_per_person, recipe.seed
    )
