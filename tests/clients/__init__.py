"""The packages in clients/, as their users have them."""
