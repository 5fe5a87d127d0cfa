"""The routes of agents, conversations and runs."""
