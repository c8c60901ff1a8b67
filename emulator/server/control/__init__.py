"""The control API, the inspector, and who may use them."""
