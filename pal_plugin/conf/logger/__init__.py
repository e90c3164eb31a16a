"""Where metrics go besides CSV and metrics.json."""
