"""The answer of a run: its parts, the markers in its text and the citations that they become."""
