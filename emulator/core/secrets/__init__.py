"""What may be shown: secrets found by their names, and by what looks like one."""
