"""Providers for tests, as their public documentation and recordings show them: OpenAI, Anthropic, Gemini.

Each module reads what a request says with nothing but a JSON parser, and puts what a model says into its own words.
"""
