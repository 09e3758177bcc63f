"""Tests of `headgate.alerts`."""
