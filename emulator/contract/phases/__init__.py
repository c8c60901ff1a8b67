"""The phases of a run: which cases there are, and how each is asked."""
