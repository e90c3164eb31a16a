"""Where a run's time goes: `+profiler=NAME`."""
