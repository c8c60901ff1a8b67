"""From an upstream's answers, or a journal, to a scenario."""
