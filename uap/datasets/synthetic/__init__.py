"""Synthetic street scenes with exact labels."""

from uap.datasets.synthetic.scene import VERSION, render_instances, render_scene

__all__ = ["VERSION", "render_instances", "render_scene"]
