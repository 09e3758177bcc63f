"""The composition roots: each puts one part of a process together. Only they and `app.py` pick classes."""
