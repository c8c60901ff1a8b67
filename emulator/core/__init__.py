"""Decides what a request is answered: pure and synchronous, with no sockets, threads, clock or environment."""
