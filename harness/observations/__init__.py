"""What was answered: the frozen plan, the journal, and the loop that fills it."""
