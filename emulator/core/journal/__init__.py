"""Exchanges as plain data, their verification, and the verdict on the client."""
