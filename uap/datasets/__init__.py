"""Data sets: the rendered street scenes."""
