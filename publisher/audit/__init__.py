"""Evidence that the product keeps its promise: what `publisher audit` checks. It may import every step."""
