"""Formats of quantized checkpoints: one file per format, which recognises it, reads it as dense weights and tells its claim."""
