"""Makes the services of the 8082 process and connects them; `app` starts and stops them."""
