"""Toy pedestrians: drawn persons with known attributes, seen by six different cameras."""

from passerby.toy.appearance import Appearance
from passerby.toy.crop import render_crop, toy_images
from passerby.toy.dataset import write_toy
from passerby.toy.population import draw_people

__all__ = ["Appearance", "draw_people", "render_crop", "toy_images", "write_toy"]
