"""What every HTTP route needs: roles, limits, request and response forms, audit, OpenAPI."""
