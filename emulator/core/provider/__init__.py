"""A provider: its folder loaded, checked and compiled, and the OpenAPI document that is made of it."""
