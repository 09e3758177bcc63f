"""Batches in the shapes of OpenAI and of Anthropic: lines of requests, and lines of answers."""
