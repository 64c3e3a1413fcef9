"""Tasks: the same items asked of every target, and what became of the answers."""
