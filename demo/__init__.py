"""Browser pages, served as package data."""
