"""What talks: sockets, clocks, the control API. The only layer with asyncio in it."""
