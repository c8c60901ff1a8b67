"""This machine's addresses, and the proxies that its environment names."""
