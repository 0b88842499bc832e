"""Plain functions of arrays to arrays; they know nothing of the tape."""
