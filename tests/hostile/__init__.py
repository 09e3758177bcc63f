"""Providers that send what they should not: what they say is in `voices.py`, what becomes of it in `hearing.py`."""
