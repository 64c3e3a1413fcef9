"""Calls of tools in the text of a reply: how a template writes them, and how they are read back."""
