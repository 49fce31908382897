"""PoNet+: an optimisation that is unrolled into stages, each of them learned."""
