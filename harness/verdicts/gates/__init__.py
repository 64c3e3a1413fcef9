"""Gates: bounds on published numbers, read as equivalence tests. Inside, outside, or not enough data to say."""
