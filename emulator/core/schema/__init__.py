"""JSON Schema: a fast verdict, an explanation, the bounds of a request's schema, an instance that conforms."""
