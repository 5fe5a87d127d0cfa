"""Orquestra: the back end for products built on AI agents."""
