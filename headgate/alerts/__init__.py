"""Telling people what happened: webhooks, Slack and mail, once for each alert, away from every request."""
