"""Texts to vectors: a small model that runs here, or a provider's `/v1/embeddings`.

Nothing heavy is imported until one runs.
"""
