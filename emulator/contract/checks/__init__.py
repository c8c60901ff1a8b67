"""What is asked of an answer, by what the fact is about."""
