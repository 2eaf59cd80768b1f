"""Motif: a reward function from an LLM's preferences over NetHack messages (arXiv 2310.00166)."""

__version__ = "0.1.0"
