"""What a test holds: the pytest plugin, a session, its journal, virtual time, the control client."""
