"""Fixtures: orders, upstreams that serve them, the proxy, and its clients."""
