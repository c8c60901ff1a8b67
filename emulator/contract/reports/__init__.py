"""What a run found, as text, JSON, JUnit and HTML, and against a baseline."""
