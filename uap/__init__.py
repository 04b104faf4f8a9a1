"""Universal adversarial perturbations against semantic segmentation."""

__version__ = "0.1.0"
