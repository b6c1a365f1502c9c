"""X-Ray for the engine: a store of segments, its API, the UDP daemon, and the segments that AWS's services write."""
