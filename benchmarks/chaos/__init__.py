"""The fault campaign: a daemon under loads, kills, cancellations and stops, and a concurrent reader."""
