"""OpenAI's chat completions, both sides: what callers say in them, and what the many servers that take them say."""
