"""Measuring tools shared by `scripts/bench_*`; not part of the installed package."""
