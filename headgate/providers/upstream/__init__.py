"""Our own HTTP/1.1 client: targets, proxies, connections, and the pools that keep them. Knows no models and no JSON."""
