"""Durable jobs: who asked for what, who works on it, what became of it. Over SQLite or Postgres, with DBOS."""
