"""Access to PostgreSQL and Redis, shared by the apps. No models.

connection.py  releasing a thread's connection before it waits, repeating work after a disconnect
sql.py         prepared statements, and the columns of a model for them
sweeps.py      one failing row does not stop the others
accents.py     search patterns that ignore case and accents
redis.py       the Redis clients of a process and of an event loop
"""
