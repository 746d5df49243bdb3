"""Where the compiler and the runtime meet: the ordered pipeline, the cache key, argument checks and launches."""
