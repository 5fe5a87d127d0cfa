"""How processes are served and observed. No models, and nothing of the API.

Web process, from the outside in:
gunicorn.py        settings of the supervisor
web.py             its worker class
connections.py     HTTP/1.1 connections with time limits
scope.py           types of ASGI, keys in the scope
bodies.py          reads bodies before a thread works on the request
queueing.py        limits concurrent requests of some paths
wsgi_threads.py    runs the WSGI application in threads
async_views.py     runs asynchronous views in the event loop
request_id.py      one id for the request, its log lines and its tasks

Workers and beat:
heartbeat.py       a file that only actual work touches
tasks.py           the task with which a worker checks itself
worker_status.py   the status of each worker, for operators
beat.py            beat in a thread of a worker

All processes:
logs.py            structured logging
metrics.py         Prometheus
health.py          checks of the dependencies
healthcheck.py     exit code for containers
garbage.py         settings of Python's garbage collector
"""
