"""Stored runs as a folder for any static host: pages, an index, raw observations, and one manifest over all of it."""
