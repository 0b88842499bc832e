"""Cases by family: a name, and a function of a random generator that returns the expression as
written here, as written in PyTorch, and the arrays that both are given."""
