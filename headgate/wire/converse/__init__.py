"""Amazon Bedrock's Converse dialect, the provider's side: requests out, answers and event streams in."""
