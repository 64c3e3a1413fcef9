"""Who is asked: checkpoints, and what can be built from them."""
