"""Objects with a lifetime: each starts with the server, joins packages below and stops with it."""
