"""Measures gateways beside each other: a mock upstream, a load generator and the run that compares them."""
