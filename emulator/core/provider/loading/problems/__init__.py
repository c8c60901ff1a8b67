"""What is wrong in a provider's folder beyond the schema of provider.yaml."""
