"""Providers' batch APIs, each behind the port `BatchApi`."""
