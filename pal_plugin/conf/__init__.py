"""Hydra configs: one primary config a method, and the groups they choose from."""
