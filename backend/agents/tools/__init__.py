"""The kinds of tools that a model may call, one module each; ``interface.py`` says what a tool is."""
