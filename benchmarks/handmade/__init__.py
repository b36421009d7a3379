"""Forty pairs of photographs made by hand, with captions in free English; see `__main__.py`."""
