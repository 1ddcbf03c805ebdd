"""Parts of the configuration, and what they share. `config` puts them together."""
