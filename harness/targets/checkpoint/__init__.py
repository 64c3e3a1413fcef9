"""A local checkpoint: our side of the wall (files, wire, target) and the isolated process behind it (the rest)."""
