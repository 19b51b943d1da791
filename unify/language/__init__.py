"""From typed text to typed commands."""
