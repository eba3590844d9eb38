"""Evidence that the product keeps its promise: what `publisher audit` looks at. Stands above the steps."""
