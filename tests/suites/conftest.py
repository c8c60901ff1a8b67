"""These run in environments of their own, by hand: see README.md."""

collect_ignore_glob = ["*"]
