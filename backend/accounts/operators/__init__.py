"""The admin: log-in of operators, base classes and helpers of its pages."""
