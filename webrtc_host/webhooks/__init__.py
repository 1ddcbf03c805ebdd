"""Webhooks: events as signed HTTP requests to other programs, stored before they are sent."""
