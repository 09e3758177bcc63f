"""What providers say was used and what it costs, as bytes and as lines of a statement. No I/O."""
