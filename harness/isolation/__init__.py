"""What an isolated process needs: a scrubbed environment, limits, and a pipe that carries no code."""
