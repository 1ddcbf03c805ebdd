"""Jobs: recordings that are uploaded or fetched, and transcribed behind everything that is live."""
