"""What a model may ask us to do, one module per tool."""
