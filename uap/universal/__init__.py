"""Universal perturbations: one perturbation for all images."""
