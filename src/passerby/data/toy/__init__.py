"""Toy pedestrians: drawn persons with known attributes, seen by six different cameras."""

from passerby.data.toy.appearance import Appearance
from passerby.data.toy.crop import render_crop, toy_images
from passerby.data.toy.dataset import write_toy
from passerby.data.toy.population import draw_people

__all__ = ["Appearance", "draw_people", "render_crop", "toy_images", "write_toy"]
