"""Scoring outside a run: a learnt perturbation on any network and images, as it is or distorted."""
