"""The patterns of a schema: texts that match them, and whether one does."""
