"""A value that conforms to a JSON Schema: what it needs, and the search for one."""
