"""Tests of `headgate.deliveries`."""
