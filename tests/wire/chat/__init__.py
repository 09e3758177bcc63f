"""OpenAI chat completions, to and from the neutral model."""
