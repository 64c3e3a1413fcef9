"""What the differences mean."""
