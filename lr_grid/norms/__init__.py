"""log_grad_norms: gradient, weight and update norms of every cell, recorded step by step and read again."""
