"""Chat templates are programs from strangers: compiled in a sandbox, run in a child process, with limits."""
