"""Random programs of ops, and the tools that generate and run them."""
