"""The two logs: what happened to each request, and what the daemon has to say."""
