"""What decides: pure functions over frozen values. No sockets, threads, wall clock, environment or global random."""
