"""The engine: carries a run from its claim to its end."""
