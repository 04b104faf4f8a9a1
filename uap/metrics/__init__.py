"""Metrics: counts of locations, intersection over union, perceptibility, and the table that names them."""

from uap.utils.lazy_modules import lazy_modules

__getattr__ = lazy_modules(__name__, "names", "roc")
