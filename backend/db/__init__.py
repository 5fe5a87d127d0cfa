"""How the apps reach PostgreSQL and Redis."""
