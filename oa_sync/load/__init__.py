"""Shaped batches into the destination, and reading back what is there."""
