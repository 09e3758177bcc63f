"""The commands of `headgate`, one module each, loaded only when they are called."""
