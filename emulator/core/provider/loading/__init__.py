"""From a provider's folder to a provider, with all that is wrong in it."""
