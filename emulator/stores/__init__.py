"""Stores: what remembers."""
