"""The daemon and its workers: from a queued job to published rows."""
