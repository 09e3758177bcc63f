"""Documents as text: what stands in files of several kinds, in folders and in JSONL."""
