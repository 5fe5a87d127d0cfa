"""An answer and its citations: from the markers in its text to sentences of passages."""
