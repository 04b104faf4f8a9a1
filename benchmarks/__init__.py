"""Benchmarks: each one command that prints ratios from one interleaved run."""
