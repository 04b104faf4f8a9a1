"""Universal perturbations: one perturbation for all images."""

from uap.utils.lazy_modules import lazy_modules

__getattr__ = lazy_modules(__name__, "perturbation_files", "perturbation_formats")
