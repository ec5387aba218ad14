"""A week of jobs through the service's own code, with encoders that only say how long they took."""
