"""Behaviour seen from the outside: real processes, real sockets, loopback only."""
