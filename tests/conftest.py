"""Fixtures that every test may ask for."""

from __future__ import annotations

from tests.support.base_model import base_model

__all__ = ["base_model"]
