"""Victims made from the networks of other libraries and from exported files."""
