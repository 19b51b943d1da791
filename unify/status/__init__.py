"""The status channel: what the daemon tells, and what it is told, over ZeroMQ on this machine."""
