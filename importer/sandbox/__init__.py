"""A local mock of the API over real HTTP, with faults and personalities on request."""
