"""What happens to a timeline on the wire."""
