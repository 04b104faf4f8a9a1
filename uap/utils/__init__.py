"""Helpers that every other package may import: files, tables, batches, progress."""
