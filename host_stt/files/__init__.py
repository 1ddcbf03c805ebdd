"""Whole recordings: read, cut where it is quiet, decoded behind everything live, put together again."""
