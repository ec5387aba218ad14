"""Dashboards and alerts: one definition, what is made of it, and what it looks like over data."""
