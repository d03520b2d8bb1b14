"""Recipes and the training loop. Needs the `train` extra."""

from passerby.training.fit import Listener, train
from passerby.training.recipe import Recipe, load_recipe, shipped_recipes

__all__ = ["Listener", "Recipe", "load_recipe", "shipped_recipes", "train"]
