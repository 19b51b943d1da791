"""What goes on right now, over ZeroMQ: a hint, never the truth."""
