"""Scripts for those who work on headgate; nothing here is installed."""
