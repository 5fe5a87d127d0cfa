"""What people do with agents, conversations and runs."""
