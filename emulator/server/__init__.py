"""The only asyncio: a server, its sessions, its control API, and the way to an upstream."""
