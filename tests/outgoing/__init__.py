"""Tests of `headgate.outgoing`."""
