"""Events on their way in, and what is stored of them."""
