"""What the tests stand on: orders to serve, upstreams that serve them, the proxy, and its clients."""
