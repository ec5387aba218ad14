"""The HTTP service: jobs, uploads, events and outputs over FastAPI. Nothing below it imports it."""
