"""Migrations of the record's database, in the order of `versions/`; `transcript.database` runs them."""
