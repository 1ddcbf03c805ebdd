"""Services: each starts and stops with the server, and connects lower packages."""
