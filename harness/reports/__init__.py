"""How it is told: one scorecard, many renderings."""
