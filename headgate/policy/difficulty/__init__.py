"""How likely a weak model does as well as a strong one: signals of a prompt, and a small model that weighs them."""
