"""Reproductions of tables and figures of papers: a YAML file defines the runs of each, and one runner executes them."""
