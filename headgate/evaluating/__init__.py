"""Measuring decisions on files of real data. Nothing here is imported by a gateway."""
