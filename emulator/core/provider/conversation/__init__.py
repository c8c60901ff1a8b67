"""What a conversation must keep to and JSON Schema cannot say: a closed list of rules, each one function."""
