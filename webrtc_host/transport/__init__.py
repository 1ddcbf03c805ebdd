"""How media reaches this server: one port, ICE, UDP, TCP, SDP and the aiortc peer."""
