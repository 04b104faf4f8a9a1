"""Configurations: YAML files, the objects that they describe, and messages about wrong settings."""
