"""The sessions of a server, their clocks, and how workers share them."""
