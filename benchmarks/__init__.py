"""One script for each figure that README.md quotes; ``python -m benchmarks`` runs them all."""
