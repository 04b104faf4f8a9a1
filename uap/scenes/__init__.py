"""Street scenes with exact labels, drawn by the program itself."""

from uap.scenes.scene import VERSION, draw_scene

__all__ = ["VERSION", "draw_scene"]
