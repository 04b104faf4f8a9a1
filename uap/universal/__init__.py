"""Universal perturbations: one pattern for all images."""
