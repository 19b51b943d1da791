"""From commands to results."""
