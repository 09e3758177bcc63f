"""headgate keeps an LLM product fast, cheap and stable under load."""

__version__ = "0.1.0"
