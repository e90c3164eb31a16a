"""Reproductions of four papers, one folder each. They use the plugin's public API only, and nothing imports them."""
