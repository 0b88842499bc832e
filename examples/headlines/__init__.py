"""The parts of examples/reproduce.py: which runs there are, how they go, what is told of them."""
