"""How processes are served and watched: gunicorn, ASGI over WSGI, health, heartbeats, metrics, logs."""
