"""Alerts: the rules, what they find in the text and the states of channels, and the life of each alert."""
