"""log_grad_norms: gradient, weight and update norms of every cell of the grid, recorded step by step, and read again."""
