"""How views are made."""
