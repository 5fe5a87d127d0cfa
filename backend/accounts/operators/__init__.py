"""The admin as operators meet it: how they log in, and what its pages let through."""
