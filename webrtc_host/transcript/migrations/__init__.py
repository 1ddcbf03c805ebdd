"""Migrations of the record's database, in the order of `versions/`; `transcript.schema_upgrade` runs them."""
