"""Reelpress on Google's Cloud Run: what a deployment is, as values; the commands that make it; the staged rollout."""
