"""Metrics: counts of locations, intersection over union, perceptibility, and the table that names them."""
