"""Synthetic street scenes with exact labels."""

from uap.datasets.synthetic.scene import VERSION, render_scene

__all__ = ["VERSION", "draw_scene", "render_scene"]

draw_scene = render_scene
"""The former name, which callers still use."""
