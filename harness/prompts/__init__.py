"""How messages become token ids, and which of those tokens are scored."""
