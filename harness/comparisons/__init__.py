"""How the answers differ: pure functions of what is stored."""
