"""Programs grown at random from the vocabulary of ops, and what is needed to run them."""
