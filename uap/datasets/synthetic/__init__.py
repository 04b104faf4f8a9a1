"""Street scenes with exact labels, drawn by the program itself."""

from uap.datasets.synthetic.scene import VERSION, draw_scene

__all__ = ["VERSION", "draw_scene"]
