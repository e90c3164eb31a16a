"""Ratios of our times against peers': `python -m benchmarks NAME… --json FILE`."""
