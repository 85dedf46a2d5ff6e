"""The "underground" engine: weighted matrix factorisation, its kernel and its tuner."""
