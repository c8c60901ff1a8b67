"""Requests made from a schema: at its boundaries, broken on purpose, and at random."""
