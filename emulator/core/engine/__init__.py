"""Understands a request, claims, and answers; loads a scenario whole, each reply rendered once."""
