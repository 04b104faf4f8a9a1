"""Benchmarks. Each is one command that compares variants in one interleaved run."""
