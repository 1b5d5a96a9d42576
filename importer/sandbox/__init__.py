"""A stand-in for the API, over real HTTP on loopback, with faults on request."""
