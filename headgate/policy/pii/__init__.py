"""Content that may not be kept as it is: finding it in a text, and deciding what of a request may be kept."""
