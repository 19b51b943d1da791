"""The fault campaign: a real daemon under loads, kills, cancels and stops, while a reader looks on."""
