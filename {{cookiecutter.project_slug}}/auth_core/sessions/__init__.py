"""Login sessions and the tokens that stand for them."""
