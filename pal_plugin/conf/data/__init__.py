"""Which images."""
