"""The glossary: schema, file, versions, and what the prompt and text stages read from it."""
