"""Configurations: reading YAML files, building classes from them, and saying what is wrong with a setting."""
