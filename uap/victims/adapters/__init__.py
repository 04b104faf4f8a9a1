"""Victims for the networks of other libraries and for exported files."""
