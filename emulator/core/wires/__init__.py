"""Wire forms: how an API says a conversation and a completion."""
