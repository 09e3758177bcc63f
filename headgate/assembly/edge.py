"""What a client may ask of a connection, as it is configured."""

from __future__ import annotations

from headgate.config.schema import ServerConfig
from headgate.gateway.http.cors import Cors
from headgate.gateway.http.exchange import EdgeLimits


def edge_limits(server: ServerConfig) -> EdgeLimits:
    """Bounds, and which web pages may read answers."""
    return EdgeLimits(
        max_body_bytes=server.max_body_bytes,
        max_header_bytes=server.max_header_bytes,
        max_connections=server.max_connections,
        receive_seconds=server.receive_seconds,
        send_seconds=server.send_seconds,
        cors=Cors(server.cors_origins) if server.cors_origins else None,
    )
